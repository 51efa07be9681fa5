from __future__ import annotations

from payment_service.celery import app
from subscriptions import tasks


def test_every_task_of_the_schedule_exists() -> None:
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}

    assert scheduled == {tasks.ask_again.name, tasks.reconcile.name, tasks.prune.name}
    assert scheduled <= set(app.tasks)
