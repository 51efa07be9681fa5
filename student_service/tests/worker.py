"""A real worker of this service in a process of its own, on the embedded broker and SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent.parent

COMMAND = [
    *(sys.executable, "-m", "celery", "-A", "student_service", "worker", "--beat"),
    *("--pool", "threads", "--without-gossip", "--without-mingle"),
]


def wait_for(fact: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `fact()` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.02)


@dataclass
class Worker:
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return any(line.endswith(" tasks ready") for line in self.lines)

    @property
    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Its exit code, and the seconds it took to end."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(30), time.monotonic() - began


@contextmanager
def running(environment: dict[str, str]) -> Iterator[Worker]:
    process = subprocess.Popen(
        COMMAND,
        cwd=HERE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    worker = Worker(process)
    reader = threading.Thread(target=worker.read)
    reader.start()
    try:
        yield worker
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        assert process.stdout
        process.stdout.close()


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie that waits for its funeral does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
