"""Run all tests, against a real RabbitMQ and a real PostgreSQL.

    make test                                   everything, three suites at a time
    make test ARGS="--suite student_service"    one folder's tests, on both databases
    make test ARGS="-k relay -x"                options of pytest
    make test ARGS="--broker native"            a private RabbitMQ, even if another one runs

Exit codes: 0 all passed; 1 a test failed; 2 there is no server to test against,
or an option is wrong; 130 Ctrl-C, which stops all tests.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .servers import WAY, NoServer, Servers, postgresql, rabbitmq
from .system.commands import ROOT
from .system.process import Process

AT_A_TIME = 3
"""Suites at a time; most tests wait for processes rather than compute."""

NOTHING_CHOSEN = 5
"""pytest's exit code if its options left no test to run."""

WITHOUT_A_DATABASE = (
    "broker_conformance", "test_amqp_patches.py", "test_backoff.py", "test_bad_input.py",
    "test_contract.py", "test_embedded.py", "test_environment.py", "test_health.py",
    "test_logs.py", "test_masking.py", "test_sqlite_transport.py", "test_stopping.py",
    "test_strict_json.py", "test_topology.py",
)  # fmt: skip
"""Tests of `admit_one` to which the database makes no difference: once is enough."""

FAILURES = ("failures", "faults")
HARMFUL = ("chaos", "health", "reconcile")
"""Tests of the whole system that inject faults: most of the time of all of those."""


@dataclass(frozen=True)
class Suite:
    """One folder's tests or a part of them, on one kind of database if they have their own."""

    folder: str
    database: str = ""
    options: Sequence[str] = ()
    part: str = ""

    @property
    def title(self) -> str:
        title = f"{self.folder}, {self.part}" if self.part else self.folder
        return f"{title} on {self.database}" if self.database else title


SUITES = (
    # Those that take longest come first, so that the others run beside them.
    Suite("tests_integration", options=[f"test_{n}.py" for n in FAILURES], part="failures"),
    Suite("tests_integration", options=[f"test_{n}.py" for n in HARMFUL], part="harm"),
    Suite("admit_one", "SQLite"),
    Suite(
        "admit_one",
        "PostgreSQL",
        [f"--ignore=tests/{name}" for name in WITHOUT_A_DATABASE],
    ),
    Suite(
        "tests_integration",
        options=[f"--ignore=test_{n}.py" for n in (*FAILURES, *HARMFUL)],
        part="journeys",
    ),
    Suite("tools"),
    Suite("shared_contracts"),
    Suite("payment_service", "SQLite"),
    Suite("payment_service", "PostgreSQL"),
    Suite("student_service", "SQLite"),
    # A thousand messages by hand take their time, and it is the same time twice.
    Suite("student_service", "PostgreSQL", ["--ignore=tests/test_a_thousand_set_aside.py"]),
)


class Run:
    """A suite that runs: its output and its report are files, shown when it has ended."""

    def __init__(
        self, suite: Suite, servers: Servers, folder: Path, for_pytest: Sequence[str]
    ) -> None:
        self.suite = suite
        self._report = folder / f"{suite.title}.xml"
        self._nothing_is_fine = bool(for_pytest)
        urls = {"TEST_BROKER_URL": servers.broker.url, "TEST_DATABASE_URL": servers.database.url}
        if suite.database == "SQLite":
            urls["DATABASE_URL"] = f"sqlite:///{folder / suite.title}.sqlite3"
        elif suite.database:
            # The name keeps two runs of the tests on one server apart.
            name = f"admit_one_{secrets.token_hex(4)}"
            urls["DATABASE_URL"] = postgresql.of_database(servers.database.url, name)
        pytest = [sys.executable, "-P", "-m", "pytest", "-q", "-rs", f"--junitxml={self._report}"]
        if sys.stdout.isatty():
            pytest.append("--color=yes")
        self.process = Process(
            suite.title,
            [*pytest, *suite.options, *for_pytest],
            log=folder / f"{suite.title}.log",
            is_ready=lambda _: True,
            cwd=ROOT / suite.folder,
            env={**os.environ, **urls},
        )

    def counts(self) -> Counter[str]:
        """How many passed, failed and were skipped, by the suite's own report."""
        if self.process.exit_code == NOTHING_CHOSEN and self._nothing_is_fine:
            return Counter()
        if not self._report.exists():  # it did not get as far as that
            return Counter(failed=1)
        counts: Counter[str] = Counter()
        for part in ET.parse(self._report).iter("testsuite"):  # noqa: S314 - pytest wrote it
            tests, failures, errors, skipped = (
                int(part.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
            )
            failed = failures + errors
            counts += Counter(passed=tests - failed - skipped, failed=failed, skipped=skipped)
        if self.process.exit_code and not counts["failed"]:
            counts["failed"] += 1
        return counts


def main() -> None:
    options, for_pytest = _parser().parse_known_args()
    suites = [suite for suite in SUITES if options.suite in {"", suite.folder}]
    counts: Counter[str] = Counter()
    try:
        with ExitStack() as stack:
            servers = stack.enter_context(Servers(broker=options.broker, database=options.database))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="admit-one-")))
            for run in _run(suites, servers, folder, for_pytest):
                print(f"\n=== {run.suite.title}\n{run.process.output()}", flush=True)
                counts += run.counts()
    except NoServer as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    sys.exit(1 if counts["failed"] else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folders = dict.fromkeys(suite.folder for suite in SUITES)
    parser.add_argument("--suite", choices=folders, default="", help="only this folder's tests")
    parser.add_argument("--broker", choices=rabbitmq.PRODUCT.ways, default="", help=WAY)
    parser.add_argument("--database", choices=postgresql.PRODUCT.ways, default="", help=WAY)
    return parser


def _run(
    suites: Sequence[Suite], servers: Servers, folder: Path, for_pytest: Sequence[str]
) -> Iterator[Run]:
    """Run the suites, some at a time; yields each when it has ended."""
    waiting, running = list(suites), list[Run]()
    try:
        while waiting or running:
            while waiting and len(running) < AT_A_TIME:
                running.append(Run(waiting.pop(0), servers, folder, for_pytest))
                print(f"running {running[-1].suite.title}", flush=True)
            for run in [run for run in running if run.process.exit_code is not None]:
                running.remove(run)
                yield run
            time.sleep(0.05)
    finally:
        for run in running:
            run.process.end(10)


if __name__ == "__main__":
    main()
