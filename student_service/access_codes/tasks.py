"""What a schedule or a wake-up starts."""

from __future__ import annotations

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer
from admit_one.tasks.runs import for_a_run, stopping

from .mails import sending, writing

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that come close together are sent once, so after some mail a run looks again."""

LONGEST_PAUSE = 2.0
"""Seconds between two looks at a database that is away."""

LONGEST_OUTAGE = 10.0
"""Seconds that a run waits for its database; then it fails, and the health check shows that."""


def send_pending_mails() -> None:
    """Send the mails that are due. A commit wakes it; beat does so too, in case that was lost.

    A run outlasts a mail server or a database that is away for a while. If it ended, mails would
    wait for the next wake-up, and the broker that brings it is often away at the same time.
    """
    go_on, announcer = for_a_run(), Announcer()

    def wait(seconds: float, error: Exception) -> None:
        if not go_on():
            raise error
        announcer.trouble(
            "database_away", "database is away, mails wait: {error}", error=mask(str(error))
        )
        stopping.wait(min(seconds, LONGEST_PAUSE))

    while go_on():
        attempts = outage.outlast(
            lambda: sending.send_due_mails(go_on),
            wait,
            at_most=LONGEST_OUTAGE,
            steady=LONGEST_OUTAGE,
        )
        announcer.over("database_back", "database is back")
        if sending.outage.resting:
            stopping.wait(sending.outage.rest)
        elif attempts:
            stopping.wait(LOOK_AGAIN_SECONDS)
        else:
            break
    if not go_on() and not stopping.is_set():
        writing.wake_worker()
