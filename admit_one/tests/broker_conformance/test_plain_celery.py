"""An unmodified Celery runs on the embedded broker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import (
    Broker,
    eventually,
)


@pytest.fixture
def celery(broker: Broker, tmp_path: Path) -> Iterator[PlainCelery]:
    plain = PlainCelery(broker, tmp_path)
    yield plain
    plain.stop()


class PlainCelery:
    """A worker of `plain_celery.py`, and what its tasks noted."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.name = f"plain@{broker.prefix}"
        self.notes = folder / "notes"
        self.notes.touch()
        self.go = folder / "go"
        self.log = folder / "log"
        self.environment = {
            **os.environ,
            "CELERY_BROKER_URL": broker.url,
            "PLAIN_QUEUE": broker.adopt(f"{broker.prefix}tasks"),
            "PLAIN_NOTES": str(self.notes),
            "PLAIN_GO": str(self.go),
        }
        broker.adopt_exchange(f"{broker.prefix}tasks")
        self.workers: list[subprocess.Popen[bytes]] = []

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "celery", "-A", "tests.plain_celery", *args]

    def start(self, pool: str) -> subprocess.Popen[bytes]:
        options = ["--pool", pool, "--concurrency", "1", "--hostname", self.name]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                self.command("worker", *options, "--loglevel", "WARNING"),
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def call(self, *args: str) -> str:
        done = subprocess.run(
            self.command(*args),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout + done.stderr

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def stop(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)  # the pool's children too
            worker.wait()


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_celery_worker_runs_tasks_and_answers_ping(celery: PlainCelery, pool: str) -> None:
    worker = celery.start(pool)
    celery.call("call", "tests.plain_celery.note", "--args", '["hello"]')
    eventually(celery.noted, ["hello"])

    answer = celery.call("inspect", "ping", "--timeout", "5", "--destination", celery.name)
    worker.terminate()

    assert "pong" in answer
    assert worker.wait(15) == 0


def test_next_celery_worker_does_the_task_of_a_killed_one(celery: PlainCelery) -> None:
    worker = celery.start("threads")
    celery.call("call", "tests.plain_celery.note_twice", "--args", '["work"]')
    eventually(celery.noted, ["work begun"])

    worker.kill()
    worker.wait()
    celery.go.touch()
    celery.start("threads")

    eventually(celery.noted, ["work begun", "work begun", "work done"])
