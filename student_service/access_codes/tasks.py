"""What time and wake-ups start."""

from __future__ import annotations

from shared_contracts.celery_app import for_a_run, stopping
from shared_contracts.messaging import retention, wake
from student_service.celery import app

from . import mailing

SEND = "student_service.send_pending_mails"

PRUNE_SECONDS = 2.0

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so a look that found mail is not the last."""


@app.task(name=SEND)
def send_pending_mails() -> None:
    """Send the mails that are due. Woken after a commit, and by beat in case that was lost."""
    go_on = for_a_run()
    while mailing.send_due_mails(go_on) and go_on():
        stopping.wait(LOOK_AGAIN_SECONDS)
    if not go_on() and not stopping.is_set():
        wake.task(SEND)


@app.task(name="student_service.prune")
def prune() -> None:
    """Delete what is past its retention, in short runs: nothing else waits long for the worker."""
    go_on = for_a_run(PRUNE_SECONDS)
    pruned = retention.prune(go_on=go_on)
    # Nothing went in a whole run: what stands first is kept, and an hour later will do.
    if any(pruned.values()) and not go_on() and not stopping.is_set():
        wake.task(prune.name)
