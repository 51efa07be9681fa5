"""Processes are waited for, stopped in time, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.system.commands import ROOT
from tools.system.process import CHILD, NotReady, Process, says, wait_ready
from tools.system.process_tree import running

SLEEPS = "print('up', flush=True); import time; time.sleep(60)"
IGNORES_SIGTERM = f"import signal; signal.signal(15, signal.SIG_IGN); {SLEEPS}"


def started(folder: Path, script: str) -> Process:
    return Process(
        "a process",
        [sys.executable, "-c", script],
        log=folder / "log",
        is_ready=says("up"),
    )


def ready(folder: Path, script: str) -> Process:
    process = started(folder, script)
    assert list(wait_ready([process], 10)) == [process]
    return process


def within(seconds: float, fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_process_that_ends_before_it_is_ready_is_reported_with_its_last_lines(
    tmp_path: Path,
) -> None:
    process = started(tmp_path, "print('cannot find the key'); raise SystemExit(3)")

    with pytest.raises(NotReady, match=r"exit code 3(?s:.*)cannot find the key"):
        list(wait_ready([process], 10))


def test_waiting_for_a_process_that_never_becomes_ready_times_out(tmp_path: Path) -> None:
    process = started(tmp_path, "import time; time.sleep(60)")

    with pytest.raises(NotReady, match="took longer than 0 s"):
        list(wait_ready([process], 0.2))

    process.kill()


def test_only_output_since_the_start_makes_a_process_ready(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("up\n")
    process = started(tmp_path, "import time; time.sleep(60)")

    assert not process.is_ready()

    process.kill()


def test_a_stopped_process_returns_its_own_exit_code(tmp_path: Path) -> None:
    script = f"import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); {SLEEPS}"

    assert ready(tmp_path, script).end(10) == 7


def test_a_process_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    assert ready(tmp_path, IGNORES_SIGTERM).end(0.2) == -signal.SIGKILL


def test_a_process_that_got_the_id_of_an_ended_one_is_not_killed_for_it(tmp_path: Path) -> None:
    ended, other = started(tmp_path, ""), ready(tmp_path, SLEEPS)
    ended.wait()
    ended._popen.pid = other.pid

    assert ended.end(10) == 0
    assert other.exit_code is None

    other.kill()


def test_a_process_is_not_in_the_process_group_of_the_terminal(tmp_path: Path) -> None:
    process = ready(tmp_path, SLEEPS)

    assert os.getpgid(process.pid) != os.getpgid(0)

    process.kill()


def test_a_process_must_be_started_from_the_main_thread(tmp_path: Path) -> None:
    refusals: list[str] = []

    def start() -> None:
        try:
            started(tmp_path, SLEEPS)
        except RuntimeError as error:
            refusals.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert ["main thread" in refusal for refusal in refusals] == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_no_process_is_left_when_the_runner_is_killed(tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import sys, time
from pathlib import Path
from tools.system.process import Process, says, wait_ready
child = Process("child", [sys.executable, "-c", {IGNORES_SIGTERM!r}],
                log=Path({str(tmp_path / "log")!r}), is_ready=says("up"))
list(wait_ready([child], 10))
print(child.pid, flush=True)
time.sleep(60)
""",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with runner:
        assert runner.stdout is not None
        child = int(runner.stdout.readline())
        assert running([child])

        runner.kill()

    assert within(5, lambda: not running([child]))


def test_a_child_does_not_start_if_its_parent_has_ended(tmp_path: Path) -> None:
    another = "1"  # not the parent of the process that we start
    done = subprocess.run(
        [sys.executable, str(CHILD), another, "-", "touch", "made"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "parent ended" in done.stderr
    assert not (tmp_path / "made").exists()
