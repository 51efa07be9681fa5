"""Tasks that a schedule or a wake-up starts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from admit_one.database import outage
from admit_one.erasure import erasing, requests
from admit_one.tasks import for_a_run, in_batches, outages, stopping

from admit_one import webhooks

from . import ending, expiring
from .mails import sending, writing
from .reconciliation import answered, reporting

_one_run, _wanted = threading.Lock(), threading.Event()

LOOK_AGAIN_SECONDS = 0.05
"""Wake-ups that follow each other closely are sent once, so a run checks again after its mails."""

LONGEST_PAUSE = 2.0
"""Seconds between attempts to reach an unavailable database."""

LONGEST_REST = 10.0
"""Seconds that a run waits for the mail server; beat's next one comes sooner than a longer rest."""

LONGEST_OUTAGE = 10.0
"""Seconds that a run waits for its database before it fails, which the health check reports."""


def send_pending_mails() -> None:
    """Send the mails that are due. A commit wakes it, and beat, in case a wake-up is lost.

    If this process does it already, that run looks again. A run outlasts short outages of the mail
    server and the database. Otherwise mails would wait for the next wake-up, which comes over a
    broker that is often down at the same time.
    """
    go_on = for_a_run()
    _wanted.set()
    while _wanted.is_set() and go_on():  # also by who came while the lock was held
        if not _one_run.acquire(blocking=False):
            return
        try:
            _wanted.clear()
            _send_pending_mails(go_on)
        finally:
            _one_run.release()


def _send_pending_mails(go_on: Callable[[], bool]) -> None:
    def wait(seconds: float, error: Exception) -> None:
        if not go_on():
            raise error
        outages.began(error)
        stopping.wait(min(seconds, LONGEST_PAUSE))

    while go_on():
        attempts = outage.outlast(
            lambda: sending.send_due_mails(go_on),
            wait,
            at_most=LONGEST_OUTAGE,
            steady=LONGEST_OUTAGE,
        )
        outages.ended()
        rest = sending.outage.rest
        if rest > LONGEST_REST:
            break
        if rest:
            stopping.wait(rest)
        elif attempts:
            stopping.wait(LOOK_AGAIN_SECONDS)
        else:
            break
    if not go_on() and not stopping.is_set():
        writing.wake_worker()


def report_grants() -> None:
    """Report the grants that wait, as many as this hour allows."""
    in_batches(reporting.report_due)


def remind_expiring() -> None:
    """Tell the users of codes that expire soon, batch after batch."""
    in_batches(expiring.remind_due)


def report_ended() -> None:
    """Report the codes that have expired, batch after batch."""
    in_batches(ending.report_ended)


def send_webhooks() -> None:
    """Send the webhooks that are due. A commit wakes it, and beat, in case a wake-up is lost."""
    webhooks.send_due(for_a_run(), stopping.is_set)


def forget_runs() -> None:
    answered.forget_old()


def erase_requested() -> None:
    """Erase what the other side has asked for, batch after batch."""
    in_batches(erasing.erase_due)


def request_erasures_again() -> None:
    """Ask the other side again for erasures that it has not answered."""
    in_batches(requests.repeat)
