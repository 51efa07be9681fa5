"""Run all tests, against a real RabbitMQ and a real PostgreSQL.

    make test                                   everything, three suites at a time
    make test ARGS="--suite student_service"    one folder's tests, on both databases
    make test ARGS="-k relay -x"                with options of pytest
    make test ARGS="--broker native"            on a private RabbitMQ, even if another one runs

Where no RabbitMQ can be had, the tests that need one are left out; the last line says how many, and
how to get them. With CI set, nothing is left out.

Skipped tests are listed at the end, with the reason.
Exit codes: 0 all passed; 1 a test failed; 2 there is no server to test against,
or an option is wrong; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tools import command_line

from .servers import WAY, NoServer, postgresql
from .servers.for_tests import WAYS, ServersForTests, servers_for_tests
from .system import left_out
from .system.commands import ROOT
from .system.database_files import url_of
from .system.ports import use_no_proxy_here
from .system.process import Process

AT_A_TIME = 3
"""Suites that run in parallel; most tests wait for processes rather than compute."""

NO_TESTS = 5
"""pytest's exit code if its options select no test."""

WITHOUT_A_DATABASE = (
    "broker_conformance", "consumer/test_hostile_messages.py", "contract", "test_amqp_patches.py",
    "test_backoff.py", "test_bad_input.py", "test_embedded.py", "test_environment.py",
    "test_health.py", "test_logs.py", "test_masking.py", "test_own_contract.py", "test_patterns.py",
    "test_sqlite_transport.py", "test_stopping.py", "test_strict_json.py", "test_terminal.py",
    "test_topology.py", "test_unsafe_settings.py", "test_urls.py", "test_without_extras.py",
    "trust", "wire",
)  # fmt: skip
"""Tests of `admit_one` that do not depend on the database, and run only once."""

ONCE = ("test_a_thousand_set_aside.py", "mails/test_dialogues.py")

FAILURES = ("failures", "faults")
HARMFUL = ("chaos", "health", "reconcile")
"""Integration tests that inject faults, which take the most time."""


@dataclass(frozen=True)
class Suite:
    """The tests of one folder, or a part of them, on one kind of database if they need one."""

    folder: str
    database: str = ""
    options: Sequence[str] = ()
    part: str = ""

    @property
    def title(self) -> str:
        title = f"{self.folder}, {self.part}" if self.part else self.folder
        return f"{title} on {self.database}" if self.database else title


SUITES = (
    # The slowest come first, so that the others run in parallel to them.
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
    Suite(
        "student_service",
        "PostgreSQL",
        # One is slow, and the other speaks to a mail server: once is enough.
        [f"--ignore=tests/{name}" for name in ONCE],
    ),
)


class SuiteRun:
    """A running suite. Its output and its report are files, shown when it has ended."""

    def __init__(
        self, suite: Suite, servers: ServersForTests, folder: Path, for_pytest: Sequence[str]
    ) -> None:
        self.suite = suite
        self._report = folder / f"{suite.title}.xml"
        self._may_be_empty = bool(for_pytest)
        urls = {**servers.broker, "TEST_DATABASE_URL": servers.database.url}
        if suite.database == "SQLite":
            urls["DATABASE_URL"] = url_of(folder / f"{suite.title}.sqlite3")
        elif suite.database:
            # Random, so that two test runs can use the same server.
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

    def skips(self) -> Iterator[str]:
        """Each skipped test that was not left out, and why it was skipped."""
        for name, reason in self._skipped():
            if reason != left_out.REASON:
                yield f"{self.suite.title}: {name}: {reason}"

    def left_out(self) -> int:
        """How many tests need a RabbitMQ, which was not to be had."""
        return sum(reason == left_out.REASON for _, reason in self._skipped())

    def _skipped(self) -> Iterator[tuple[str, str]]:
        if self._report.exists():
            for test in ET.parse(self._report).iter("testcase"):  # noqa: S314 - pytest wrote it
                for skip in test.iter("skipped"):
                    name = f"{test.get('classname')}::{test.get('name')}"
                    yield name, skip.get("message", "")

    def counts(self) -> Counter[str]:
        """How many tests passed, failed and were skipped."""
        if self.process.exit_code == NO_TESTS and self._may_be_empty:
            return Counter()
        if not self._report.exists():  # pytest failed before it could write one
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
    use_no_proxy_here()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `nohup … &` lets it be ignored
    suites = [suite for suite in SUITES if options.suite in {"", suite.folder}]
    counts: Counter[str] = Counter()
    skips: list[str] = []
    left_out_of: Counter[str] = Counter()
    try:
        with ExitStack() as stack:
            servers = servers_for_tests(stack, broker=options.broker, database=options.database)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="admit-one-")))
            for run in _run(suites, servers, folder, for_pytest):
                print(f"\n=== {run.suite.title}\n{run.process.output()}", flush=True)
                counts += run.counts()
                skips += run.skips()
                left_out_of[run.suite.folder] += run.left_out()
    except NoServer as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    for skip in skips:
        print(f"SKIPPED {skip}")
    skipped = f", {len(skips)} SKIPPED" if skips else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    if servers.lacks_rabbitmq:
        print(left_out_line(+left_out_of))
    sys.exit(1 if counts["failed"] else 0)


def left_out_line(counts: Counter[str]) -> str:
    """What was left out, and how to get it, for the last line."""
    where = ", ".join(f"{folder} {count}" for folder, count in counts.items())
    return (
        f"LEFT OUT: {counts.total()} tests that need a RabbitMQ ({where or 'none was chosen'}); "
        "to run them, install it (apt install rabbitmq-server, or brew install rabbitmq), start "
        "Docker, or set TEST_BROKER_URL"
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser("make test", __doc__)
    folders = dict.fromkeys(suite.folder for suite in SUITES)
    parser.add_argument("--suite", choices=folders, default="", help="only this folder's tests")
    parser.add_argument("--broker", choices=WAYS, default="", help=WAY)
    parser.add_argument("--database", choices=postgresql.PRODUCT.ways, default="", help=WAY)
    return parser


def _run(
    suites: Sequence[Suite], servers: ServersForTests, folder: Path, for_pytest: Sequence[str]
) -> Iterator[SuiteRun]:
    """Run the suites, `AT_A_TIME` in parallel; yields each when it has ended."""
    waiting, running = list(suites), list[SuiteRun]()
    try:
        while waiting or running:
            while waiting and len(running) < AT_A_TIME:
                running.append(SuiteRun(waiting.pop(0), servers, folder, for_pytest))
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
