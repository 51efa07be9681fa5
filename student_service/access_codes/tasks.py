"""What time and wake-ups start."""

from __future__ import annotations

import logging

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.messaging import retention, wake
from admit_one.processes.backoff import next_delay
from admit_one.tasks.app import for_a_run, stopping
from student_service.celery import app

from .mails import sending

logger = logging.getLogger(__name__)

SEND = "student_service.send_pending_mails"

PRUNE_SECONDS = 2.0

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so a look that found mail is not the last."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds before a look at a database that is away."""

MOST_FAILURES = 8
"""Looks at it in a row, within about ten seconds; then the run fails, as everybody may know."""


@app.task(name=SEND)
def send_pending_mails() -> None:
    """Send the mails that are due. Woken after a commit, and by beat in case that was lost.

    A run outlasts a mail server or a database that is away for a while: other wake-ups have come
    to nothing meanwhile, and the broker that brings new ones is often away with them.
    """
    go_on = for_a_run()
    failures = 0
    while go_on():
        try:
            settled = sending.send_due_mails(go_on)
        except outage.DATABASE_ERRORS as error:
            outage.forget_connection()
            failures += 1
            if failures == MOST_FAILURES or not go_on():
                raise
            if failures == 1:
                logger.warning("database away, mails wait: %s", mask(str(error)))
            stopping.wait(next_delay(failures, first=FIRST_PAUSE, most=LONGEST_PAUSE))
            continue
        failures = 0
        if sending.outage.resting:
            stopping.wait(sending.outage.rest)
        elif settled:
            stopping.wait(LOOK_AGAIN_SECONDS)
        else:
            break
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
