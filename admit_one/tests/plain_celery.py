"""A Celery application as its manual writes it: nothing of ours but the name of the broker."""

from __future__ import annotations

import os
import time
from pathlib import Path

import admit_one.embedded_broker  # noqa: F401  (makes sqlite:// a broker URL)
from celery import Celery

app = Celery("plain", broker=os.environ["CELERY_BROKER_URL"])
app.conf.task_default_queue = os.environ["PLAIN_QUEUE"]
app.conf.task_acks_late = True
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_connection_retry_on_startup = True


@app.task
def note(words: str) -> None:
    with Path(os.environ["PLAIN_NOTES"]).open("a") as notes:
        notes.write(f"{words}\n")


@app.task
def note_twice(words: str) -> None:
    """Says it has begun, waits until it may go on, says it is done."""
    note(f"{words} begun")
    while not Path(os.environ["PLAIN_GO"]).exists():
        time.sleep(0.01)
    note(f"{words} done")
