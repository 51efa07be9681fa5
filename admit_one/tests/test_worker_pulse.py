"""A Celery worker that waits for a slow server is no worker without work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from admit_one.tasks import worker_pulse
from admit_one.tasks.worker_pulse import TaskWatch

ALWAYS = -1.0
"""Seconds that have passed, whenever it is."""

TASK, ANOTHER_TASK = SimpleNamespace(name="send"), SimpleNamespace(name="prune")


@pytest.fixture
def watch() -> TaskWatch:
    return TaskWatch(patience=ALWAYS)


def test_a_worker_without_new_tasks_asks_for_beat(watch: TaskWatch) -> None:
    assert "is beat running?" in watch.trouble()


def test_while_a_task_runs_no_other_is_missed(watch: TaskWatch) -> None:
    watch.began(task_id="slow")
    watch.began(task_id="fast")
    watch.done(task_id="fast", task=TASK, state="SUCCESS")

    assert watch.trouble() == ""

    watch.done(task_id="slow", task=TASK, state="SUCCESS")

    assert "is beat running?" in watch.trouble()


def test_a_task_that_never_ends_is_reported(
    watch: TaskWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pulse, "LONGEST_TASK", ALWAYS)
    watch.began(task_id="stuck")

    assert "a task has been running for" in watch.trouble()


def test_a_task_that_failed_is_reported_until_it_succeeds(watch: TaskWatch) -> None:
    watch.done(task_id="1", task=TASK, state="FAILURE")
    watch.done(task_id="2", task=ANOTHER_TASK, state="SUCCESS")
    assert watch.trouble() == "send failed: see the log"

    watch.done(task_id="3", task=TASK, state="SUCCESS")
    assert "failed" not in watch.trouble()


def test_a_task_that_runs_rarely_is_not_reported_until_its_next_run(
    watch: TaskWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pulse, "RECENT", ALWAYS)
    watch.done(task_id="1", task=TASK, state="FAILURE")

    assert "failed" not in watch.trouble()
