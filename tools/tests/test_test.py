"""`make test` counts what its suites report."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import test as command
from tools.servers import Servers
from tools.system.commands import ROOT

PASSING = "def test_one(): pass\ndef test_two(): pass\n"
FAILING = "def test_three(): assert False\n"
SKIPPED = "import pytest\n@pytest.mark.skip(reason='no such machine')\ndef test_four(): pass\n"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers(say=lambda _: None) as servers:
        yield servers


def run(servers: Servers, tmp_path: Path, test: str, *options: str) -> command.Run:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_it.py").write_text(test)
    started = command.Run(command.Suite(str(folder)), servers, tmp_path, options)
    started.process.wait(30)
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
    servers: Servers, tmp_path: Path, test: str, options: list[str], expected: dict[str, int]
) -> None:
    assert dict(+run(servers, tmp_path, test, *options).counts()) == expected


def test_a_skipped_test_is_shown_with_its_reason(servers: Servers, tmp_path: Path) -> None:
    assert "no such machine" in run(servers, tmp_path, SKIPPED).process.output()


def test_every_folder_with_tests_is_run() -> None:
    folders = {path.parent.parent for path in ROOT.glob("*/tests/test_*.py")}
    folders |= {path.parent for path in ROOT.glob("*/test_*.py")}

    assert {folder.name for folder in folders} == {suite.folder for suite in command.SUITES}


def test_all_tests_that_a_suite_names_exist() -> None:
    ours, whole = ROOT / "admit_one" / "tests", ROOT / "tests_integration"
    named = {ours / name for name in command.WITHOUT_A_DATABASE}
    named |= {whole / f"test_{name}.py" for name in (*command.FAILURES, *command.HARMFUL)}

    assert {path.name for path in named if not path.exists()} == set()


def test_without_a_server_nothing_runs_and_the_exit_code_is_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.test", "--broker", "docker"],
        cwd=ROOT,
        env={"DOCKER_HOST": "tcp://127.0.0.1:1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "No RabbitMQ can be had here" in done.stderr
    assert "passed" not in done.stdout
