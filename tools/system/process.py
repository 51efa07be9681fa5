"""One process of ours: started, watched until it is ready, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
LOOK_EVERY = 0.02
"""Seconds between two looks at a process that is not ready yet."""


class NotReady(Exception):
    """A process ended, or took too long, before it was ready; the message has its last lines."""


class Process:
    """A child process whose output goes to a file, and which ends when this process ends.

    `is_ready` tells from the process whether it has come up; `user` runs it with another's rights.
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
                "because a child ends with the thread that started it"
            )
        self.name = name
        self.log = log
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
        """All that this process has written since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def is_ready(self) -> bool:
        """Whether it has come up. Raises `NotReady` if it has ended instead."""
        if self.exit_code is not None:
            raise self.not_ready(f"ended with exit code {self.exit_code}")
        return self._is_ready(self)

    def not_ready(self, what: str) -> NotReady:
        return NotReady(f"{self.name} is not ready: it {what}. {self.last_lines()}")

    def last_lines(self) -> str:
        """The end of its output, for a message about it."""
        lines = self.output().splitlines()[-15:]
        return "\n".join(["Its last lines:", *(f"  {self.name} | {line}" for line in lines)])

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        self._popen.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait for its end and return the exit code; `TimeoutError` after `timeout` seconds."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout:.0f} s") from None

    def kill(self) -> None:
        """SIGKILL, as a crash would: what it has started must see to itself."""
        self._popen.kill()
        self._popen.wait()

    def end(self, timeout: float) -> int:
        """SIGTERM, and SIGKILL after `timeout` seconds, also for all it has started."""
        self.signal(signal.SIGTERM)
        return self.wait_or_kill(timeout)

    def wait_or_kill(self, timeout: float) -> int:
        """Wait for its end, and kill it and all it has started after `timeout` seconds."""
        try:
            return self.wait(timeout)
        except TimeoutError:
            return -signal.SIGKILL
        finally:
            self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._popen.wait()


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
    """Ready once there is `text` in its output."""
    return lambda process: text in process.output()
