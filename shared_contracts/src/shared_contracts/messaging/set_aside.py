"""Messages that could not be handled: kept with all that is known, tried again when due.

A message is set aside in the database before it is acked, so it is never only in memory.
Each try is counted and committed *before* it is made: one that kills the process is counted too.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from django.db import transaction
from django.db.models.functions import Now

from ..errors import Transient
from ..events import Event
from ..masking import mask
from ..strict_json import MAX_BYTES
from . import conf, inbox, sealing, world
from .bulk import insert_new
from .conf import Handler
from .inbox import Outcome, Received, Result
from .models import SET_ASIDE_PURPOSE, SetAside, now_plus

logger = logging.getLogger(__name__)

LONGEST_HEADERS = 8_000
LONGEST_REASON = 1_000
LONGEST_TRACEBACK = 8_000
"""Characters that are kept of each."""

LONGEST_BODY = MAX_BYTES + 1
"""Bytes: one more than can be read, so that a cut body never looks like a whole one.

30 MB would take the database longer than a statement may, and the message would come for ever.
"""

LONGEST_HISTORY = 20
"""Entries: a message that comes a million times is a row of the same size."""

Entry = dict[str, str]
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
        "body": sealing.seal(message.body[:LONGEST_BODY], SET_ASIDE_PURPOSE),
        "headers": _printable(message.headers),
        "suspect": suspect,
        "error": type(error).__name__,
        "reason": _reason(error),
        "traceback": _traceback(error),
        "fingerprint": fingerprint_of(error),
        "attempts": 0,
        "history": [_entry(error)],
        "next_attempt_at": None if dead else now_plus(conf.current().RETRY_DELAYS[0]),
    }
    with transaction.atomic():
        if not _insert(row):
            _kept_before(row, error)
    logger.warning(
        "set aside as %s: %s %s from %s: %s",
        state,
        row["type"] or "unreadable message",
        mask(row["event_id"]),  # a stranger may put anything there
        row["queue"],
        row["reason"],
    )


def retry_one(handlers: Mapping[type[Event], Handler], persist: Persist) -> bool:
    """Try the message that is due longest, alone; returns whether there was one.

    `persist` does a step, and does it again as long as the database is away, which is nobody's
    fault and must not use up the message's tries. What it raises to end that is passed on.
    """
    row = persist(_claim)
    if row is None:
        return False
    tries = len(conf.current().RETRY_DELAYS)
    if row.attempts > tries:
        # Counted before it was made, and never answered for: the last try ended its process.
        error = Transient(f"the process ended during try {tries}, the last")
        persist(lambda: _failed(row, error, dead=True))
        return True
    last = row.attempts == tries
    try:
        persist(lambda: _try(row, handlers, last=last))
    except world.LetGo:
        raise
    except Exception as error:  # noqa: BLE001 (a handler may raise anything; it is kept, not lost)
        fault = error  # the name `error` ends with this block
        persist(lambda: _failed(row, fault, dead=last))
    return True


def _claim() -> SetAside | None:
    """The next due row, with the coming try counted and the time of the one after it set."""
    delays = conf.current().RETRY_DELAYS
    with transaction.atomic():
        row = SetAside.objects.due().select_for_update(skip_locked=True).first()
        if row is None:
            return None
        row.attempts += 1
        pause = delays[min(row.attempts, len(delays) - 1)]
        SetAside.objects.filter(id=row.id).update(
            attempts=row.attempts, next_attempt_at=now_plus(pause)
        )
        return row


def _try(row: SetAside, handlers: Mapping[type[Event], Handler], *, last: bool) -> None:
    body = sealing.unseal(row.body, SET_ASIDE_PURPOSE)
    message = Received.read(body, queue=row.queue, headers=row.headers)
    with transaction.atomic():
        [outcome] = inbox.process([message], handlers)
        _settle(row, outcome, last=last)


def _settle(row: SetAside, outcome: Outcome, *, last: bool) -> None:
    if outcome.result in SETTLED:
        entry = {"at": _now(), "result": str(outcome.result)}
        SetAside.objects.filter(id=row.id).update(
            state=SetAside.State.REPLAYED,
            next_attempt_at=None,
            settled_at=Now(),
            history=_with(row.history, entry),
        )
        logger.warning(
            "handled after all: %s %s, try %d", row.type, mask(row.event_id), row.attempts
        )
    elif outcome.error is not None:
        _failed(row, outcome.error, dead=last or outcome.result in DEAD_AT_ONCE)


def _failed(row: SetAside, error: BaseException, *, dead: bool) -> None:
    changes: dict[str, Any] = {
        "error": type(error).__name__,
        "reason": _reason(error),
        "traceback": _traceback(error),
        "fingerprint": fingerprint_of(error),
        "history": _with(row.history, _entry(error)),
    }
    if dead:
        changes |= {"state": SetAside.State.DEAD, "next_attempt_at": None}
    SetAside.objects.filter(id=row.id).update(**changes)
    logger.warning(
        "%s after try %d: %s %s: %s",
        "dead" if dead else "still failing",
        row.attempts,
        row.type,
        mask(row.event_id),
        changes["reason"],
    )


def fingerprint_of(error: BaseException) -> str:
    """What failures with one cause share: the error's class, and where in the service it arose."""
    package = conf.current().HANDLERS.partition(".")[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if package in Path(frame.filename).parts]
    if not ours:
        return type(error).__name__
    return f"{type(error).__name__} in {Path(ours[-1].filename).stem}.{ours[-1].name}"[:255]


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
    changes: dict[str, Any] = {"history": _with(known.history, _entry(error))}
    if known.settled_at is not None:
        changes |= {"settled_at": None, "attempts": 0}
        told_anew = ("state", "next_attempt_at", "error", "reason", "traceback", "fingerprint")
        changes |= {name: row[name] for name in told_anew}
    SetAside.objects.filter(id=known.id).update(**changes)


def _delivery(message: Received) -> str:
    """The same for the same bytes from the same queue, however often they are delivered."""
    return sealing.fingerprint(message.queue.encode() + b"\0" + message.body).hex()


def _reason(error: BaseException) -> str:
    """What operators read. Errors may quote a message, so addresses and codes are masked."""
    return _storable(mask(str(error))[:LONGEST_REASON]) or type(error).__name__


def _traceback(error: BaseException) -> str:
    # Masked before it is cut: half a code is not recognised as one.
    return _storable(mask("".join(traceback.format_exception(error)))[-LONGEST_TRACEBACK:])


def _storable(text: str) -> str:
    """`text` without what no database takes, NUL and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _with(history: list[Entry], entry: Entry) -> list[Entry]:
    """The first entry tells how it began; of the others, the latest are kept."""
    return [*history[:1], *history[1:][2 - LONGEST_HISTORY :], entry]


def _entry(error: BaseException) -> Entry:
    return {"at": _now(), "error": type(error).__name__, "reason": _reason(error)}


def _printable(headers: Mapping[str, Any]) -> dict[str, str]:
    kept: dict[str, str] = {}
    left = LONGEST_HEADERS
    for name, value in headers.items():
        text = mask(ascii(value))[:left]
        kept[mask(ascii(name)[1:-1])[:255]] = text
        left -= len(text)
        if left <= 0:
            break
    return kept


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
