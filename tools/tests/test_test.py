"""`make test` adds up the results of its suites."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tools import test as command
from tools.servers.for_tests import ServersForTests
from tools.servers.found import Server
from tools.system import left_out
from tools.system.commands import ROOT

PASSING = "def test_one(): pass\ndef test_two(): pass\n"
FAILING = "def test_three(): assert False\n"
SKIPPED = "import pytest\n@pytest.mark.skip(reason='no such machine')\ndef test_four(): pass\n"


NOWHERE = Server("PostgreSQL", "15", "nowhere", "postgres://127.0.0.1:1/nothing")
SERVERS = ServersForTests(NOWHERE, {left_out.VARIABLE: "1"})


def run(tmp_path: Path, test: str, *options: str) -> command.SuiteRun:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_it.py").write_text(test)
    started = command.SuiteRun(command.Suite(str(folder)), SERVERS, tmp_path, options)
    started.process.wait(60)
    return started


@pytest.mark.parametrize(
    ("test", "options", "expected"),
    [
        (PASSING, [], {"passed": 2}),
        (PASSING + FAILING, [], {"passed": 2, "failed": 1}),
        (PASSING + SKIPPED, [], {"passed": 2, "skipped": 1}),
        ("import nothing_of_that_name\n", [], {"failed": 1}),
        ("raise SystemExit(3)\n", [], {"failed": 1}),
        ("", [], {"failed": 1}),
        (PASSING, ["-k", "nothing"], {}),
    ],
)
def test_every_result_is_counted(
    tmp_path: Path, test: str, options: list[str], expected: dict[str, int]
) -> None:
    assert dict(+run(tmp_path, test, *options).counts()) == expected


def test_a_skipped_test_is_listed_with_its_reason(tmp_path: Path) -> None:
    finished = run(tmp_path, PASSING + SKIPPED)

    assert "no such machine" in finished.process.output()
    assert list(finished.skips()) == [
        f"{finished.suite.title}: test_it::test_four: no such machine"
    ]


def test_every_folder_with_tests_is_run() -> None:
    folders = {path.parent.parent for path in ROOT.glob("*/tests/test_*.py")}
    folders |= {path.parent for path in ROOT.glob("*/test_*.py")}

    assert {folder.name for folder in folders} == {suite.folder for suite in command.SUITES}


def test_all_tests_that_a_suite_names_exist() -> None:
    ours, whole = ROOT / "admit_one" / "tests", ROOT / "tests_integration"
    named = {ours / name for name in command.WITHOUT_A_DATABASE}
    named |= {whole / f"test_{name}.py" for name in (*command.FAILURES, *command.HARMFUL)}

    assert {path.name for path in named if not path.exists()} == set()


def test_a_test_that_needs_a_rabbitmq_is_counted_as_left_out(tmp_path: Path) -> None:
    needs_one = f"import pytest\ndef test_four(): pytest.skip({left_out.REASON!r})\n"
    finished = run(tmp_path, PASSING + needs_one)

    assert finished.left_out() == 1
    assert list(finished.skips()) == []


def make_test(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.test", *options],
        cwd=ROOT,
        env={"DOCKER_HOST": "tcp://127.0.0.1:1", "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_server_no_test_runs_and_the_exit_code_is_2() -> None:
    done = make_test("--broker", "docker")

    assert done.returncode == 2
    assert "No RabbitMQ was found or could be started" in done.stderr
    assert "passed" not in done.stdout


def test_the_last_line_says_what_was_left_out_and_how_to_get_it() -> None:
    done = make_test("--broker", "embedded", "--suite", "shared_contracts", "-k", "test_topology")

    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last == command.left_out_line(Counter())
    assert command.left_out_line(Counter(admit_one=3, tools=1)) == (
        "LEFT OUT: 4 tests that need a RabbitMQ (admit_one 3, tools 1); to run them, install it "
        "(apt install rabbitmq-server, or brew install rabbitmq), start Docker, or set "
        "TEST_BROKER_URL"
    )


def test_in_ci_nothing_is_left_out() -> None:
    done = make_test("--broker", "embedded", "--suite", "shared_contracts", CI="true")

    assert done.returncode == 2
    assert done.stderr == "CI is set, so no test is left out: expected a RabbitMQ\n"
