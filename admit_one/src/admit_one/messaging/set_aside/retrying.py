"""Set-aside messages are tried again when due, until they work or no retry is left.

Each try is counted and committed *before* it is made: one that kills the process is counted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from django.db import transaction
from django.db.models.functions import Now

from admit_one import logs
from admit_one.contract import Event
from admit_one.contract.errors import Transient
from admit_one.database.clock import now_plus
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import conf, inbox
from admit_one.messaging.conf import Handler
from admit_one.messaging.failure_policy import Decision, History, decide
from admit_one.messaging.models import SetAside
from admit_one.sealing.cipher import Unsealable

from . import error_record, keeping
from .groups import short
from .on_dead import call_on_dead

logger = EventLogger(__name__)

DEADLY = 2
"""Tries in a row that may end without an answer; with more, the message is dead."""

T = TypeVar("T")


class Persist(Protocol):
    """Does a step, and does it again as long as the database is away."""

    def __call__(self, step: Callable[[], T], /) -> T: ...


def retry_one(handlers: Mapping[type[Event], Handler], persist: Persist) -> bool:
    """Try the message that is due longest, alone; returns whether there was one.

    A database that is away is nobody's fault and must not use up the message's tries, so `persist`
    repeats each step. What it raises to end that is passed on.
    """
    row = persist(_claim)
    if row is None:
        return False
    with logs.about(event_id=row.event_id, event_type=row.type, subject=row.subject):
        _retry(row, handlers, persist)
    return True


def _retry(row: SetAside, handlers: Mapping[type[Event], Handler], persist: Persist) -> None:
    last = row.attempts >= len(conf.current().RETRY_DELAYS)
    error: Exception | None
    if last and row.unanswered > DEADLY:
        # One try may stay without an answer because the process was stopped or its database was
        # away, which cannot be written down just then. Two in a row are the message's doing.
        made = row.attempts - 1
        error = Transient(f"the process ended during try {made - 1}, and during try {made}")
    else:
        error = _tried(row, handlers, persist, last=last)
    match decide(error, History(raised=True, last_try=last)):
        case Decision.ACK:
            return
        case Decision.LET_GO if error is not None:
            raise error
        case decision if error is not None:
            fault = error
            persist(lambda: _failed(row, fault, dead=decision is Decision.DEAD_LETTER))


def _claim() -> SetAside | None:
    """The next due row, with the coming try counted and the time of the one after it set."""
    delays = conf.current().RETRY_DELAYS
    with transaction.atomic():
        row = SetAside.objects.due().select_for_update(skip_locked=True).first()
        if row is None:
            return None
        row.attempts += 1
        row.unanswered += 1
        pause = delays[min(row.attempts, len(delays) - 1)]
        SetAside.objects.filter(id=row.id).update(
            attempts=row.attempts, unanswered=row.unanswered, next_attempt_at=now_plus(pause)
        )
        return row


def _tried(
    row: SetAside, handlers: Mapping[type[Event], Handler], persist: Persist, *, last: bool
) -> Exception | None:
    """Try it, and write down what came of it; returns what was raised instead."""
    try:
        persist(lambda: _try(row, handlers, last=last))
    except Exception as error:  # noqa: BLE001 (a handler may raise anything)
        return error
    return None


def _try(row: SetAside, handlers: Mapping[type[Event], Handler], *, last: bool) -> None:
    message = keeping.read(row)
    with transaction.atomic():
        [outcome] = inbox.process([message], handlers)
        if outcome.error is None:
            _handled(row, str(outcome.result))
        else:
            decision = decide(outcome.error, History(last_try=last))
            _failed(row, outcome.error, dead=decision is Decision.DEAD_LETTER)


def _handled(row: SetAside, result: str) -> None:
    SetAside.objects.filter(id=row.id).update(
        state=SetAside.State.REPLAYED,
        next_attempt_at=None,
        closed_at=Now(),
        unanswered=0,
        history=error_record.extended(row.history, {"at": error_record.now(), "result": result}),
    )
    logger.warning(
        "message_handled_after_all",
        "handled after all: {type} {event_id}, try {attempt}",
        type=row.type,
        event_id=mask(row.event_id),
        attempt=row.attempts,
    )


def _failed(row: SetAside, error: Exception, *, dead: bool) -> None:
    changes: dict[str, Any] = {
        **error_record.described(error),
        "history": error_record.extended(row.history, error_record.entry(error)),
        "unanswered": 0,
    }
    if dead:
        changes |= {"state": SetAside.State.DEAD, "next_attempt_at": None}
    with transaction.atomic():
        # An operator may have closed it while it was tried: that stays.
        if not SetAside.objects.open().filter(id=row.id).update(**changes):
            return
        if dead:
            _call_on_dead(row, changes["reason"])
    logger.warning(
        "message_dead" if dead else "message_failed_again",
        "{state} after try {attempt}: {type} {event_id}: {reason}",
        state="dead" if dead else "still failing",
        attempt=row.attempts,
        type=row.type,
        event_id=mask(row.event_id),
        reason=changes["reason"],
        group=short(changes["fingerprint"]),
    )


def _call_on_dead(row: SetAside, reason: str) -> None:
    if row.unanswered > 2 * DEADLY:
        # What ended the process before may be ON_DEAD itself; the message must die some time.
        logger.error(
            "on_dead_left_out",
            "ON_DEAD is left out: the process has ended {times} times",
            times=row.unanswered - 1,
        )
        return
    try:
        message = keeping.read(row)
    except Unsealable:  # nobody can read it now
        return
    call_on_dead(message, reason)
