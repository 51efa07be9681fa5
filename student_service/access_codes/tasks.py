"""What time and wake-ups start."""

from __future__ import annotations

import time

from shared_contracts.celery_app import stopping
from shared_contracts.messaging import retention, wake
from student_service.celery import app

from . import services

SEND = "student_service.send_pending_mails"

RUN_SECONDS = 30.0
"""A run ends after this, and another one goes on: no task blocks the worker for long."""

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so a look that found mail is not the last."""


@app.task(name=SEND)
def send_pending_mails() -> None:
    """Send the mails that are due. Woken after a commit, and by beat in case that was lost."""
    end = time.monotonic() + RUN_SECONDS

    def go_on() -> bool:
        return time.monotonic() < end and not stopping.is_set()

    while services.send_due_mails(go_on) and go_on():
        stopping.wait(LOOK_AGAIN_SECONDS)
    if not go_on() and not stopping.is_set():
        wake.task(SEND)


@app.task(name="student_service.prune")
def prune() -> None:
    """Delete the messages whose retention has ended."""
    retention.prune()
