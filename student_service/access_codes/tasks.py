"""What time and wake-ups start."""

from __future__ import annotations

import time
from collections.abc import Callable

from shared_contracts.celery_app import stopping
from shared_contracts.messaging import retention, wake
from student_service.celery import app

from . import mailing

SEND = "student_service.send_pending_mails"

RUN_SECONDS = 30.0
"""A run ends after this, and another one goes on: no task blocks the worker for long."""

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so a look that found mail is not the last."""


@app.task(name=SEND)
def send_pending_mails() -> None:
    """Send the mails that are due. Woken after a commit, and by beat in case that was lost."""
    go_on = _for_a_run()
    while mailing.send_due_mails(go_on) and go_on():
        stopping.wait(LOOK_AGAIN_SECONDS)
    if not go_on() and not stopping.is_set():
        wake.task(SEND)


@app.task(name="student_service.prune")
def prune() -> None:
    """Delete the messages whose retention has ended; what is left over waits for the next run."""
    retention.prune(go_on=_for_a_run())


def _for_a_run() -> Callable[[], bool]:
    """True until the run's time is up or the worker is told to stop."""
    end = time.monotonic() + RUN_SECONDS
    return lambda: time.monotonic() < end and not stopping.is_set()
