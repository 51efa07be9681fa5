"""Stores messages that could not be handled, with everything known about them.

A message is set aside before its ack, so it is never only in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, connection, transaction

from admit_one.contract import Envelope
from admit_one.contract.errors import Malformed
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.database.clock import now_plus
from admit_one.logs import EventLogger
from admit_one.masking import hiding, mask
from admit_one.messaging import conf, peers, tombstones
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SET_ASIDE_PURPOSE, VALUES_PURPOSE, SetAside
from admit_one.sealing import cipher
from admit_one.trust import sealing
from admit_one.wiring import wired

from . import error_record
from .groups import short

logger = EventLogger(__name__)

LONGEST_BODY = MAX_BYTES + 1
"""Bytes: one more than can be read, so that a cut body never looks like a whole one.

Storing 30 MB would exceed the statement timeout, and the message would be redelivered forever.
"""

BROKEN = "(broken properties)"
"""The stored header that holds the fault of unreadable properties."""

OnDead = Callable[[Envelope[Any], str], object]


def keep(message: Received, error: BaseException, *, dead: bool, suspect: bool = False) -> None:
    """Set `message` aside because of `error`: dead, or to be retried.

    The same message kept twice (redelivered before its ack) is one row.
    """
    envelope = message.envelope
    with hiding(envelope.sensitive_values if envelope else ()):
        _keep(message, error, dead=dead, suspect=suspect)


def _keep(message: Received, error: BaseException, *, dead: bool, suspect: bool) -> None:
    envelope = message.envelope
    state = SetAside.State.DEAD if dead else SetAside.State.RETRYING
    delivery = _delivery(message)
    row = {
        "state": state,
        "delivery": delivery,
        "queue": message.queue,
        "source": envelope.source if envelope else "",
        "event_id": envelope.id if envelope else "",
        "type": envelope.type if envelope else "",
        "subject": envelope.subject if envelope else "",
        "body": cipher.seal(message.body[:LONGEST_BODY], SET_ASIDE_PURPOSE, delivery),
        "signature": message.signature,
        **_sealed_values(message, delivery),
        "headers": _headers(message),
        "suspect": suspect,
        **error_record.described(error),
        "attempts": 0,
        "history": [error_record.entry(error)],
        "next_attempt_at": None if dead else now_plus(conf.current().RETRY_DELAYS[0]),
    }
    with transaction.atomic():
        about_erasure = envelope is not None and envelope.data.about_erasure
        if not about_erasure and tombstones.lock_any(row["subject"], message.body):
            logger.warning("message_passed_by", "passed by: its subject is erased")
            return
        _, is_new = SetAside.objects.get_or_create(delivery=delivery, defaults=row)
        if (is_new or _kept_again(row, error)) and dead:
            call_on_dead(message, str(row["reason"]))
    logger.warning(
        "message_set_aside",
        "set aside as {state}: {type} {event_id} from {queue}: {reason}",
        state=state,
        type=row["type"] or "unreadable message",
        event_id=mask(envelope.id if envelope else ""),  # it may contain anything
        queue=row["queue"],
        reason=row["reason"],
        group=short(error_record.fingerprint_of(error)),
    )


def read(row: SetAside) -> Received:
    """The message as it arrived. Raises `Unsealable` if its key is gone."""
    body = cipher.unseal(row.body, SET_ASIDE_PURPOSE, row.delivery)
    known = _known_values(row)
    return Received.read(
        body,
        queue=row.queue,
        headers=row.headers,
        broken=row.headers.get(BROKEN, ""),
        signature=row.signature,
        received_at=row.created_at,
        unseal=lambda place, text: known.get(place[-1]) or peers.unseal(place, text),
    )


def _known_values(row: SetAside) -> dict[str, str]:
    """What its sealed fields hold, by name, as far as it is stored."""
    if row.sealed_values is None:
        return {}
    stored = cipher.unseal(row.sealed_values, VALUES_PURPOSE, row.delivery)
    values: dict[str, str] = json.loads(stored)
    return values


def _sealed_values(message: Received, delivery: str) -> dict[str, Any]:
    """What the sealed fields hold, sealed with a key of our own, so that old wire keys can go."""
    needed = sealing.reader_key_id(message.body)
    if not needed or message.envelope is None:
        return {"sealed_values": None, "wire_key": needed}
    values = json.dumps(peers.unsealed_values(message.envelope.data)).encode()
    return {"sealed_values": cipher.seal(values, VALUES_PURPOSE, delivery), "wire_key": ""}


def sensitive_values(row: SetAside) -> list[str]:
    """What to mask by value while the message is worked on; nothing if it cannot be read."""
    try:
        envelope = read(row).envelope
    except cipher.Unsealable:
        return []
    return envelope.sensitive_values if envelope else []


def identify(row: SetAside) -> None:
    """Store the event's id, subject and sealed values once the message can be read, for `why`.

    A later release may know its type, and later settings its key.

    Raises `Unsealable` if its key is gone.
    """
    message = None if row.event_id else read(row)
    if message is None or message.envelope is None:
        return
    envelope = message.envelope
    row.source, row.event_id = envelope.source, envelope.id
    row.type, row.subject = envelope.type, envelope.subject
    values = _sealed_values(message, row.delivery)
    row.sealed_values, row.wire_key = values["sealed_values"], values["wire_key"]
    names = ("source", "event_id", "type", "subject", "sealed_values", "wire_key")
    known = SetAside.objects.filter(id=row.id).exclude(state=SetAside.State.ERASED)
    known.update(**{name: getattr(row, name) for name in names})


def call_on_dead(message: Received, reason: str) -> None:
    """Call the service's `ON_DEAD`, if it has one and the message can be read.

    Call it in the transaction in which the message dies: what `ON_DEAD` writes and publishes is
    kept if and only if the message is dead. A failure of `ON_DEAD` is logged and rolled back, and
    the message becomes dead anyway. After a deadlock or a lock timeout it is called once more,
    because it will not be called for this message again.
    """
    on_dead: OnDead | None = wired("ON_DEAD")
    if on_dead is None or message.envelope is None:
        return
    try:
        try:
            _call(on_dead, message.envelope, reason)
        except OperationalError:
            if connection.needs_rollback:
                raise
            _call(on_dead, message.envelope, reason)
    except Exception:
        if connection.needs_rollback:  # the connection is lost, and the message not dead yet
            raise
        logger.error(
            "on_dead_failed", "ON_DEAD failed; the message becomes dead anyway", exc_info=True
        )


def _call(on_dead: OnDead, envelope: Envelope[Any], reason: str) -> None:
    with transaction.atomic():
        on_dead(envelope, reason)
        connection.check_constraints()  # some are deferred to the commit


def _kept_again(row: dict[str, Any], error: BaseException) -> bool:
    """Record another delivery of the same bytes; returns whether that reopened the row."""
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
    """The same text for the same bytes from the same queue, even after a change of keys.

    Bytes with broken properties are another message, so that a good one is not lost in their row.
    """
    parts = [message.queue, _broken(message)] if message.broken else [message.queue]
    identity = "\0".join([*parts, ""]).encode() + message.body
    ours, *earlier = (value.hex() for value in cipher.fingerprints(identity))
    known = SetAside.objects.filter(delivery__in=earlier).values_list("delivery", flat=True)
    return known.first() or ours


def _headers(message: Received) -> dict[str, str]:
    headers = error_record.printable(message.headers)
    headers.pop(BROKEN, None)  # it may have been sent
    return {**headers, BROKEN: _broken(message)} if message.broken else headers


def _broken(message: Received) -> str:
    return error_record.reason_of(Malformed(message.broken))
