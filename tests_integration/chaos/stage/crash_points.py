"""The worst points to crash at: between two steps that no transaction covers.

A process under chaos patches these functions in itself (see `patched_process`); the product is
unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .patched import (
    FINISH,
    HANDLE,
    NOTIFY,
    PROCESS,
    PUBLISH,
    RECEIVE,
    SEND_MAIL,
    Patched,
)

RELAYS = ("payment-relay", "student-relay")
CONSUMERS = ("payment-consumer", "student-consumer")

MAILS_AT_ONCE = 8
"""Mails that one worker sends at the same time: each may be between the 250 and the commit."""


@dataclass(frozen=True)
class CrashPoint:
    """Right before or right after a call of `patched`, in one of `processes`."""

    title: str
    processes: tuple[str, ...]
    patched: Patched
    before: bool = False
    doubles_mails: int = 0
    """How many mails may arrive twice after a crash at this point."""


CRASH_POINTS = {
    "committed": CrashPoint(
        "after commit, before the relay is woken",
        ("payment-web",),
        NOTIFY,
        before=True,
    ),
    "unpublished": CrashPoint(
        "after commit, before publish",
        RELAYS,
        PUBLISH,
        before=True,
    ),
    "unmarked": CrashPoint(
        "after publish, before mark",
        RELAYS,
        PUBLISH,
    ),
    "uncommitted": CrashPoint(
        "after handler, before commit",
        CONSUMERS,
        PROCESS,
    ),
    "unacked": CrashPoint(
        "after commit, before ack",
        CONSUMERS,
        HANDLE,
    ),
    "unsent": CrashPoint(
        "after claim, before SMTP",
        ("student-tasks",),
        SEND_MAIL,
        before=True,
        doubles_mails=MAILS_AT_ONCE - 1,
    ),
    "unwritten": CrashPoint(
        "after SMTP's 250, before commit",
        ("student-tasks",),
        SEND_MAIL,
        doubles_mails=MAILS_AT_ONCE,
    ),
    "unanswered": CrashPoint(
        "after an event of Stripe is committed, before the answer",
        ("payment-web",),
        RECEIVE,
    ),
    "unfinished": CrashPoint(
        "after the answer to a webhook, before commit",
        ("payment-tasks", "student-tasks"),
        FINISH,
        before=True,
        doubles_mails=MAILS_AT_ONCE,  # the worker of the student side has some in hand, too
    ),
}


def armed(folder: Path, process: str, point: str) -> Path:
    """The file that arms a crash point; `process` removes it and dies there, once."""
    return folder / "armed" / f"{process}.{point}"
