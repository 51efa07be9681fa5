"""Messages that could not be handled are kept in the database, with all that is known of them.

A message is set aside before it is acked, so it is never only in memory.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from admit_one.contract.errors import Malformed
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.database.bulk import insert_new
from admit_one.database.clock import now_plus
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SET_ASIDE_PURPOSE, SetAside
from admit_one.sealing import cipher

from . import error_record
from .groups import short
from .on_dead import call_on_dead

logger = EventLogger(__name__)

LONGEST_BODY = MAX_BYTES + 1
"""Bytes: one more than can be read, so that a cut body never looks like a whole one.

30 MB would take the database longer than a statement may, and the message would come for ever.
"""

BROKEN = "(broken properties)"
"""Stands among the kept headers with the fault of the properties, which are not kept themselves."""


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
        **error_record.described(error),
        "attempts": 0,
        "history": [error_record.entry(error)],
        "next_attempt_at": None if dead else now_plus(conf.current().RETRY_DELAYS[0]),
    }
    with transaction.atomic():
        state_is_new = _insert(row) or _kept_again(row, error)
        if dead and state_is_new:
            call_on_dead(message, str(row["reason"]))
    logger.warning(
        "message_set_aside",
        "set aside as {state}: {type} {event_id} from {queue}: {reason}",
        state=state,
        type=row["type"] or "unreadable message",
        event_id=mask(envelope.id if envelope else ""),  # anybody may have put anything there
        queue=row["queue"],
        reason=row["reason"],
        group=short(error_record.fingerprint_of(error)),
    )


def read(row: SetAside) -> Received:
    """The message as it came. Raises `Unsealable` if its key is gone."""
    body = cipher.unseal(row.body, SET_ASIDE_PURPOSE)
    broken = row.headers.get(BROKEN, "")
    return Received.read(body, queue=row.queue, headers=row.headers, broken=broken)


def _insert(row: dict[str, Any]) -> bool:
    fields = dict(row)
    due = fields.pop("next_attempt_at")
    new = insert_new(SetAside, [fields], conflict=("delivery",), returning=("id",))
    if new and due is not None:
        SetAside.objects.filter(id=new[0][0]).update(next_attempt_at=due)
    return bool(new)


def _kept_again(row: dict[str, Any], error: BaseException) -> bool:
    """The same bytes came again: note it, and open the row if it was closed; returns whether."""
    known = SetAside.objects.select_for_update().get(delivery=row["delivery"])
    changes: dict[str, Any] = {
        "history": error_record.extended(known.history, error_record.entry(error))
    }
    if row["suspect"]:
        changes |= {"suspect": True}
    closed = known.closed_at is not None
    if closed:
        changes |= {"closed_at": None, "attempts": 0, "unanswered": 0}
        replaced = ("state", "next_attempt_at", "error", "reason", "traceback", "fingerprint")
        changes |= {name: row[name] for name in replaced}
    SetAside.objects.filter(id=known.id).update(**changes)
    return closed


def _delivery(message: Received) -> str:
    """The same for the same bytes from the same queue, however often they are delivered.

    With broken properties they are another message, whose row a good one must not be lost in.
    """
    parts = [message.queue, _broken(message)] if message.broken else [message.queue]
    return cipher.fingerprint("\0".join([*parts, ""]).encode() + message.body).hex()


def _headers(message: Received) -> dict[str, str]:
    headers = error_record.printable(message.headers)
    headers.pop(BROKEN, None)  # anybody may have sent one
    return {**headers, BROKEN: _broken(message)} if message.broken else headers


def _broken(message: Received) -> str:
    return error_record.reason_of(Malformed(message.broken))
