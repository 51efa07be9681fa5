"""What time and wake-ups start."""

from __future__ import annotations

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer
from admit_one.tasks.runs import for_a_run, stopping

from .mails import sending, writing

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so a look that found mail is not the last."""

LONGEST_PAUSE = 2.0
"""Seconds between two looks at a database that is away."""

LONGEST_OUTAGE = 10.0
"""Seconds that a run waits for its database; then it fails, as everybody may know."""


def send_pending_mails() -> None:
    """Send the mails that are due. Woken after a commit, and by beat in case that was lost.

    A run outlasts a mail server or a database that is away for a while: other wake-ups have come
    to nothing meanwhile, and the broker that brings new ones is often away with them.
    """
    go_on, announcer = for_a_run(), Announcer()

    def wait(seconds: float, error: Exception) -> None:
        if not go_on():
            raise error
        announcer.trouble(f"database away, mails wait: {mask(str(error))}")
        stopping.wait(min(seconds, LONGEST_PAUSE))

    while go_on():
        attempts = outage.outlast(
            lambda: sending.send_due_mails(go_on), wait, at_most=LONGEST_OUTAGE
        )
        announcer.over("the database is back")
        if sending.outage.resting:
            stopping.wait(sending.outage.rest)
        elif attempts:
            stopping.wait(LOOK_AGAIN_SECONDS)
        else:
            break
    if not go_on() and not stopping.is_set():
        writing.wake_worker()
