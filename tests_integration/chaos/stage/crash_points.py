"""The worst points to die at: between two steps that no transaction holds together.

A process under chaos patches these functions in itself (see `patched_process`); the product knows
nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .patched import HANDLE, NOTIFY, PROCESS, PUBLISH, SEND_MAIL, Patched

RELAYS = ("payment-relay", "student-relay")
CONSUMERS = ("payment-consumer", "student-consumer")

MAILS_AT_ONCE = 2
"""Mails that the worker has in hand: each may be between the mail server's reply and the commit."""


@dataclass(frozen=True)
class CrashPoint:
    """Right before or right after a call of `patched`, in one of `processes`."""

    title: str
    processes: tuple[str, ...]
    patched: Patched
    before: bool = False
    doubles_mails: int = 0
    """How many of the mails in hand may then come a second time."""


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
}


def armed(folder: Path, process: str, point: str) -> Path:
    """The file that arms a crash point of `process`, for one crash: whoever removes it dies."""
    return folder / "armed" / f"{process}.{point}"
