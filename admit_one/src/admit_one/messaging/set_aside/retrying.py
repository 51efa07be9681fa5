"""Retries set-aside messages when due, until they are handled or no retry is left.

Each attempt is counted, and that is committed, *before* it begins: so one that kills the process
is counted, too.
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
from admit_one.masking import hiding, mask
from admit_one.messaging import conf, inbox
from admit_one.messaging.conf import Handler
from admit_one.messaging.failure_policy import Decision, History, decide
from admit_one.messaging.models import SetAside
from admit_one.sealing.cipher import Unsealable

from . import blanking, error_record, keeping
from .groups import short

logger = EventLogger(__name__)

DEADLY = 2
"""Attempts in a row that may end without a result; with more, the message is dead."""

T = TypeVar("T")


class Persist(Protocol):
    """Does a step, and repeats it while the database is unavailable."""

    def __call__(self, step: Callable[[], T], /) -> T: ...


def retry_one(handlers: Mapping[type[Event], Handler], persist: Persist) -> bool:
    """Retry the message that has been due longest, alone; returns whether there was one.

    An outage of the database must not use up retries, so `persist` repeats each step. Raises what
    `persist` raises to end that.
    """
    row = persist(_claim)
    if row is None:
        return False
    with (
        logs.about(event_id=row.event_id, event_type=row.type, subject=row.subject),
        hiding(keeping.sensitive_values(row)),
    ):
        _retry(row, handlers, persist)
    return True


def _retry(row: SetAside, handlers: Mapping[type[Event], Handler], persist: Persist) -> None:
    last = row.attempts >= len(conf.current().RETRY_DELAYS)
    error: Exception | None
    if last and row.unanswered > DEADLY:
        # One attempt may have no result because the process was stopped or lost its database, and
        # could not record that. Two in a row are the message's fault.
        made = row.attempts - 1
        error = Transient(f"the process ended during attempts {made - 1} and {made}")
    else:
        error = _tried(row, handlers, persist, last=last)
    match decide(error, History(raised=True, last_attempt=last)):
        case Decision.ACK:
            return
        case Decision.REQUEUE if error is not None:
            raise error
        case decision if error is not None:
            fault = error
            persist(lambda: _failed(row, fault, dead=decision is Decision.DEAD_LETTER))


def _claim() -> SetAside | None:
    """The next due row, with this attempt counted and the next one scheduled."""
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
    """Try to handle it, and record the result; returns an error that was raised instead."""
    try:
        persist(lambda: _try(row, handlers, last=last))
    except Exception as error:  # noqa: BLE001 (a handler may raise anything)
        return error
    return None


def _try(row: SetAside, handlers: Mapping[type[Event], Handler], *, last: bool) -> None:
    keeping.identify(row)
    message = keeping.read(row)
    with transaction.atomic():
        [outcome] = inbox.process([message], handlers)
        if outcome.error is None:
            _handled(row, str(outcome.result))
        else:
            decision = decide(outcome.error, History(last_attempt=last))
            _failed(row, outcome.error, dead=decision is Decision.DEAD_LETTER)


def _handled(row: SetAside, result: str) -> None:
    # What was erased meanwhile stays blank.
    SetAside.objects.filter(id=row.id).exclude(state=SetAside.State.ERASED).update(
        state=SetAside.State.REPLAYED,
        next_attempt_at=None,
        closed_at=Now(),
        unanswered=0,
        history=error_record.extended(row.history, {"at": error_record.now(), "result": result}),
    )
    blanking.blank_if_erased(row)
    logger.warning(
        "message_handled_after_all",
        "handled after all: {type} {event_id}, attempt {attempt}",
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
        # An operator may have closed it meanwhile; then it stays closed.
        if not SetAside.objects.open().filter(id=row.id).update(**changes):
            return
        if dead:
            _call_on_dead(row, changes["reason"])
    logger.warning(
        "message_dead" if dead else "message_failed_again",
        "{state} after attempt {attempt}: {type} {event_id}: {reason}",
        state="dead" if dead else "still failing",
        attempt=row.attempts,
        type=row.type,
        event_id=mask(row.event_id),
        reason=changes["reason"],
        group=short(changes["fingerprint"]),
    )


def _call_on_dead(row: SetAside, reason: str) -> None:
    if row.unanswered > 2 * DEADLY:
        # ON_DEAD itself may have killed the process; the message must die at some point.
        logger.error(
            "on_dead_skipped",
            "ON_DEAD is not called: the process has died in it {times} times",
            times=row.unanswered - 1,
        )
        return
    try:
        message = keeping.read(row)
    except Unsealable:  # nobody can read it now
        return
    keeping.call_on_dead(message, reason)
