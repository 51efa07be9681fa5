"""Messages that could not be handled: kept with all that is known, tried again when due.

A message is set aside in the database before it is acked, so it is never only in memory.
Each try is counted and committed *before* it is made: one that kills the process is counted too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from django.db import transaction
from django.db.models.functions import Now

from admit_one import logs
from admit_one.contract import Event
from admit_one.contract.errors import Malformed, Transient
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.database import outage
from admit_one.database.bulk import insert_new
from admit_one.database.clock import now_plus
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import conf, inbox
from admit_one.messaging.conf import Handler
from admit_one.messaging.inbox import Outcome, Received, Result
from admit_one.messaging.models import SET_ASIDE_PURPOSE, SetAside
from admit_one.sealing import cipher

from . import failure
from .groups import short

logger = EventLogger(__name__)

LONGEST_BODY = MAX_BYTES + 1
"""Bytes: one more than can be read, so that a cut body never looks like a whole one.

30 MB would take the database longer than a statement may, and the message would come for ever.
"""

BROKEN = "(broken properties)"
"""Stands among the kept headers with the fault of the properties, which are not kept themselves."""

T = TypeVar("T")


class Persist(Protocol):
    """Does a step, again and again if need be."""

    def __call__(self, step: Callable[[], T], /) -> T: ...


DEAD_AT_ONCE = {Result.MALFORMED, Result.REJECTED}
SETTLED = {Result.HANDLED, Result.DUPLICATE}


def keep(message: Received, error: BaseException, *, dead: bool, suspect: bool = False) -> None:
    """Set `message` aside because of `error`: dead, or to be tried again.

    The same message kept twice (redelivered before its ack) is one row.
    """
    envelope = message.envelope
    state = SetAside.State.DEAD if dead else SetAside.State.RETRYING
    row = {
        "state": state,
        "delivery": _delivery(message),
        "queue": message.queue,
        "source": envelope.source if envelope else "",
        "event_id": envelope.id if envelope else "",
        "type": envelope.type if envelope else "",
        "subject": envelope.subject if envelope else "",
        "body": cipher.seal(message.body[:LONGEST_BODY], SET_ASIDE_PURPOSE),
        "headers": _headers(message),
        "suspect": suspect,
        **failure.told(error),
        "attempts": 0,
        "history": [failure.entry(error)],
        "next_attempt_at": None if dead else now_plus(conf.current().RETRY_DELAYS[0]),
    }
    with transaction.atomic():
        if not _insert(row):
            _kept_before(row, error)
    logger.warning(
        "message_set_aside",
        "set aside as {state}: {type} {event_id} from {queue}: {reason}",
        state=state,
        type=row["type"] or "unreadable message",
        event_id=mask(envelope.id if envelope else ""),  # a stranger may put anything there
        queue=row["queue"],
        reason=row["reason"],
        group=short(failure.fingerprint_of(error)),
    )


def read(row: SetAside) -> Received:
    """The message as it came. Raises `Unsealable` if its key is gone."""
    body = cipher.unseal(row.body, SET_ASIDE_PURPOSE)
    broken = row.headers.get(BROKEN, "")
    return Received.read(body, queue=row.queue, headers=row.headers, broken=broken)


def retry_one(handlers: Mapping[type[Event], Handler], persist: Persist) -> bool:
    """Try the message that is due longest, alone; returns whether there was one.

    `persist` does a step, and does it again as long as the database is away, which is nobody's
    fault and must not use up the message's tries. What it raises to end that is passed on.
    """
    row = persist(_claim)
    if row is None:
        return False
    with logs.about(event_id=row.event_id, event_type=row.type, subject=row.subject):
        _retry(row, handlers, persist)
    return True


def _retry(row: SetAside, handlers: Mapping[type[Event], Handler], persist: Persist) -> None:
    last = row.attempts >= len(conf.current().RETRY_DELAYS)
    if last and row.unanswered > 2:
        # One try may stay without an answer because the process was stopped or its database was
        # away, which cannot be written down just then. Two in a row are the message's doing.
        made = row.attempts - 1
        error = Transient(f"the process ended during try {made - 1}, and during try {made}")
        persist(lambda: _failed(row, error, dead=True))
        return
    try:
        persist(lambda: _try(row, handlers, last=last))
    except outage.LetGo:
        raise
    except Exception as error:  # noqa: BLE001 (a handler may raise anything; it is kept, not lost)
        fault = error  # the name `error` ends with this block
        persist(lambda: _failed(row, fault, dead=last))


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


def _try(row: SetAside, handlers: Mapping[type[Event], Handler], *, last: bool) -> None:
    message = read(row)
    with transaction.atomic():
        [outcome] = inbox.process([message], handlers)
        _settle(row, outcome, last=last)


def _settle(row: SetAside, outcome: Outcome, *, last: bool) -> None:
    if outcome.result in SETTLED:
        entry = {"at": failure.now(), "result": str(outcome.result)}
        SetAside.objects.filter(id=row.id).update(
            state=SetAside.State.REPLAYED,
            next_attempt_at=None,
            closed_at=Now(),
            unanswered=0,
            history=failure.extended(row.history, entry),
        )
        logger.warning(
            "message_handled_after_all",
            "handled after all: {type} {event_id}, try {attempt}",
            type=row.type,
            event_id=mask(row.event_id),
            attempt=row.attempts,
        )
    elif outcome.error is not None:
        _failed(row, outcome.error, dead=last or outcome.result in DEAD_AT_ONCE)


def _failed(row: SetAside, error: BaseException, *, dead: bool) -> None:
    changes: dict[str, Any] = {
        **failure.told(error),
        "history": failure.extended(row.history, failure.entry(error)),
        "unanswered": 0,
    }
    if dead:
        changes |= {"state": SetAside.State.DEAD, "next_attempt_at": None}
    # An operator may have settled it while it was tried: that stays.
    if not SetAside.objects.open().filter(id=row.id).update(**changes):
        return
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


def _insert(row: dict[str, Any]) -> bool:
    fields = dict(row)
    due = fields.pop("next_attempt_at")
    new = insert_new(SetAside, [fields], conflict=("delivery",), returning=("id",))
    if new and due is not None:
        SetAside.objects.filter(id=new[0][0]).update(next_attempt_at=due)
    return bool(new)


def _kept_before(row: dict[str, Any], error: BaseException) -> None:
    """The same bytes came again: note it, and open the row again if it was settled."""
    known = SetAside.objects.select_for_update().get(delivery=row["delivery"])
    changes: dict[str, Any] = {"history": failure.extended(known.history, failure.entry(error))}
    if row["suspect"]:
        changes |= {"suspect": True}
    if known.closed_at is not None:
        changes |= {"closed_at": None, "attempts": 0, "unanswered": 0}
        told_anew = ("state", "next_attempt_at", "error", "reason", "traceback", "fingerprint")
        changes |= {name: row[name] for name in told_anew}
    SetAside.objects.filter(id=known.id).update(**changes)


def _delivery(message: Received) -> str:
    """The same for the same bytes from the same queue, however often they are delivered.

    With broken properties they are another message, whose row a good one must not be lost in.
    """
    parts = [message.queue, _broken(message)] if message.broken else [message.queue]
    return cipher.fingerprint("\0".join([*parts, ""]).encode() + message.body).hex()


def _headers(message: Received) -> dict[str, str]:
    headers = failure.printable(message.headers)
    headers.pop(BROKEN, None)  # a stranger may have sent one
    return {**headers, BROKEN: _broken(message)} if message.broken else headers


def _broken(message: Received) -> str:
    return failure.reason_of(Malformed(message.broken))
