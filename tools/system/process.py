"""A child process: started, waited for until it is ready, stopped, and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Self

from .eventually import eventually

CHILD = Path(__file__).with_name("child.py")
LOOK_EVERY = 0.02
"""Seconds between checks whether a process is ready."""


class NotReady(Exception):
    """A process ended or took too long before it was ready; the message has its last lines."""


class Process:
    """A child process that writes its output to a file, and ends when this process ends.

    `is_ready` says whether it is ready; `user` is the user to run it as.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        is_ready: Callable[[Process], bool],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str = "-",
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"{name}: expected to be started from the main thread, "
                "because a child process ends with the thread that started it"
            )
        self.name = name
        self.log = log
        self.was_ready = False
        """Whether `is_ready` has been true; it stays so when the process ends."""
        self.started_at = time.monotonic()
        self._is_ready = is_ready
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), user, *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal is for the runner, which then stops everything in order.
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._popen.poll()

    def output(self) -> str:
        """All output of this process since its start."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        return self.output().splitlines()

    def said(self, text: str) -> int:
        """How many lines of its output contain `text`."""
        return sum(text in line for line in self.lines)

    def until(self, text: str, seconds: float = 30.0) -> Self:
        """Wait until its output contains `text`. Raises `NotReady` if it ends without it."""
        eventually(lambda: self.said(text) or self.exit_code is not None, within=seconds)
        if not self.said(text):
            raise self.not_ready(
                f"ended with exit code {self.exit_code}, and never printed {text!r}"
            )
        return self

    def until_ready(self, timeout: float = 30.0) -> Self:
        """Wait until it is ready. Raises `NotReady` if it ends, or after `timeout` seconds."""
        for _ in wait_ready([self], timeout):
            pass
        return self

    def is_ready(self) -> bool:
        """Whether it is ready. Raises `NotReady` if it has ended."""
        if self.exit_code is not None:
            raise self.not_ready(f"ended with exit code {self.exit_code}")
        ready = self._is_ready(self)
        self.was_ready = self.was_ready or ready
        return ready

    def not_ready(self, what: str) -> NotReady:
        return NotReady(f"{self.name} is not ready: it {what}. {self.last_lines()}")

    def last_lines(self) -> str:
        """The end of its output, for an error message."""
        lines = (f"  {self.name} | {line}" for line in self.lines[-15:])
        return "\n".join(["Its last lines:", *lines])

    def signal(self, number: int) -> None:
        """Send a signal to this process, but not to its children."""
        self._popen.send_signal(number)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait until it ends; returns its exit code. Raises `TimeoutError`."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} is still running after {timeout:.0f} s") from None

    def kill(self) -> None:
        """SIGKILL this process, but not its children."""
        self._popen.kill()
        self._popen.wait()

    def stop(self, number: int = SIGTERM, timeout: float = 60.0) -> tuple[int, float]:
        """Stop it with a signal; returns its exit code, and the seconds that it took."""
        began = time.monotonic()
        self.signal(number)
        return self.wait(timeout), time.monotonic() - began

    def end(self, timeout: float) -> int:
        """SIGTERM; after `timeout` seconds SIGKILL, and then SIGKILL for its children."""
        self.signal(SIGTERM)
        return self.wait_or_kill(timeout)

    def wait_or_kill(self, timeout: float) -> int:
        """Wait up to `timeout` seconds until it ends; then kill what is left of its group."""
        try:
            return self.wait(timeout)
        except TimeoutError:
            return -SIGKILL
        finally:
            self._kill_group()

    def _kill_group(self) -> None:
        if self.exit_code is not None and _exists(self.pid):
            return  # it was reaped before, and its id is another process's by now
        try:
            os.killpg(self._popen.pid, SIGKILL)
        except ProcessLookupError:
            return
        self._popen.wait()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def wait_ready(processes: Iterable[Process], timeout: float) -> Iterator[Process]:
    """Yield each process as it becomes ready.

    Raises `NotReady` as soon as one has ended, or after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    pending = list(processes)
    while pending:
        ready = [process for process in pending if process.is_ready()]
        yield from ready
        pending = [process for process in pending if process not in ready]
        if pending and time.monotonic() > deadline:
            raise pending[0].not_ready(f"took longer than {timeout:.0f} s")
        if pending and not ready:
            time.sleep(LOOK_EVERY)


def says(text: str) -> Callable[[Process], bool]:
    """A check for `is_ready`: the output contains `text`."""
    return lambda process: text in process.output()
