"""Run all tests, against a real RabbitMQ and a real PostgreSQL.

    python -m tools.test                          everything
    python -m tools.test --suite payment_service  one folder's tests, on both databases
    python -m tools.test -k relay -x              what is left over goes to pytest
    python -m tools.test --broker native          a private RabbitMQ, although there is another

Exit code: 0 if all passed, 1 if a test failed, 2 if there is no server to test against.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .commands import ROOT
from .servers import NoServer, Servers, postgresql, rabbitmq

SUITES: Mapping[str, Sequence[str]] = {
    "shared_contracts": ("SQLite", "PostgreSQL"),
    "payment_service": ("SQLite", "PostgreSQL"),
    "student_service": ("SQLite", "PostgreSQL"),
    "tools": ("",),
    "tests_integration": ("",),
}
"""Each folder with tests, and the databases that its tests are run on."""

NOTHING_CHOSEN = 5
"""pytest's exit code if no test was left after its options had chosen."""


def main() -> None:
    options, for_pytest = _parser().parse_known_args()
    try:
        with Servers(broker=options.broker, database=options.database) as servers:
            environment = {
                **os.environ,
                "TEST_BROKER_URL": servers.broker.url,
                "TEST_DATABASE_URL": servers.database.url,
            }
            names = [options.suite] if options.suite else list(SUITES)
            runs = [(name, database) for name in names for database in SUITES[name]]
            counts, failed = _run_all(runs, environment, for_pytest)
    except NoServer as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    _tell(counts, failed)
    sys.exit(1 if failed else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", choices=SUITES, default="")
    parser.add_argument("--broker", choices=rabbitmq.PRODUCT.ways, default="")
    parser.add_argument("--database", choices=postgresql.PRODUCT.ways, default="")
    return parser


def _run_all(
    runs: Sequence[tuple[str, str]], environment: Mapping[str, str], for_pytest: Sequence[str]
) -> tuple[Counter[str], list[str]]:
    """Run the suites one after the other; returns what was counted, and which of them failed."""
    counts: Counter[str] = Counter()
    failed = []
    with tempfile.TemporaryDirectory(prefix="admit-one-tests-") as temporary:
        for number, (name, database) in enumerate(runs):
            title = f"{name} on {database}" if database else name
            print(f"\n=== {title} ", flush=True)
            report = Path(temporary) / f"{number}.xml"
            url = {"DATABASE_URL": _database_url(database, environment, Path(temporary))}
            code = subprocess.run(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "pytest",
                    "-q",
                    "-rs",
                    f"--junitxml={report}",
                    *for_pytest,
                ],
                cwd=ROOT / name,
                env={**environment, **url} if database else environment,
                stdin=subprocess.DEVNULL,
                check=False,
            ).returncode
            counts += _counted(report)
            if code and not (code == NOTHING_CHOSEN and for_pytest):
                failed.append(title)
    return counts, failed


def _database_url(database: str, environment: Mapping[str, str], temporary: Path) -> str:
    """Where the tests make their database; the name keeps two test runs on one server apart."""
    if database == "SQLite":
        return f"sqlite:///{temporary / 'tests.sqlite3'}"
    name = f"admit_one_{secrets.token_hex(4)}"
    return postgresql.of_database(environment["TEST_DATABASE_URL"], name)


def _counted(report: Path) -> Counter[str]:
    """What a suite's report says: passed, failed and skipped."""
    if not report.exists():  # it did not get as far as that
        return Counter(failed=1)
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - written by our own pytest
    counts: Counter[str] = Counter()
    for suite in suites:
        tests, failures, errors, skipped = (
            int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
        )
        failed = failures + errors
        counts += Counter(passed=tests - failed - skipped, failed=failed, skipped=skipped)
    return counts


def _tell(counts: Counter[str], failed: Sequence[str]) -> None:
    print()
    for title in failed:
        print(f"failed: {title}")
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")


if __name__ == "__main__":
    main()
