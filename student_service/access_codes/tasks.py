"""What time and wake-ups start."""

from __future__ import annotations

import logging

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.processes.backoff import next_delay
from admit_one.tasks.runs import for_a_run, stopping

from .mails import sending, writing

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so a look that found mail is not the last."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds before a look at a database that is away."""

MOST_FAILURES = 8
"""Looks at it in a row, within about ten seconds; then the run fails, as everybody may know."""


def send_pending_mails() -> None:
    """Send the mails that are due. Woken after a commit, and by beat in case that was lost.

    A run outlasts a mail server or a database that is away for a while: other wake-ups have come
    to nothing meanwhile, and the broker that brings new ones is often away with them.
    """
    go_on = for_a_run()
    failures = 0
    while go_on():
        try:
            attempts = sending.send_due_mails(go_on)
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
        elif attempts:
            stopping.wait(LOOK_AGAIN_SECONDS)
        else:
            break
    if not go_on() and not stopping.is_set():
        writing.wake_worker()
