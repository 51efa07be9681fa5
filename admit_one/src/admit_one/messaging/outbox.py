"""The only way out: events are written in the transaction of the change that they report."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

from admit_one.contract import Envelope, Event
from admit_one.contract.errors import NotInTransaction, Undeliverable
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.database import bulk
from admit_one.sealing import cipher

from . import conf, wake
from .models import OUTBOX_PURPOSE, OutboxMessage

SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
"""What every reader takes; see `admit_one.contract.envelope`."""


def publish(*messages: Event | Envelope[Any]) -> None:
    """Write events to the outbox and wake the relay after the commit.

    An event gets an envelope of its own; `message.follow(event)` makes one that answers `message`.
    Raises `NotInTransaction` outside `transaction.atomic()`, and `Undeliverable` for an event
    of another service, or one that no reader could take: too large, without a subject, or with a
    number that JSON does not have.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction
    if not messages:
        return
    bulk.insert(OutboxMessage, [_row(_enveloped(message)) for message in messages])
    wake.relay()


def _enveloped(message: Event | Envelope[Any]) -> Envelope[Any]:
    return message if isinstance(message, Envelope) else Envelope.of(message)


def _row(envelope: Envelope[Any]) -> dict[str, Any]:
    service, about = conf.current().service, envelope.data.about
    if envelope.data.producer != service.name:
        raise Undeliverable(f"{service.name} does not publish {envelope.type} (its producer does)")
    if not SUBJECT.fullmatch(str(envelope.subject)) or getattr(envelope.data, about) is None:
        raise Undeliverable(
            f"{envelope.type}: its subject, {about}, is to have 1 to 255 characters, none of them "
            "a control character"
        )
    try:
        body = envelope.to_json()
    except ValueError as error:
        raise Undeliverable(f"{envelope.type} cannot be written as JSON: {error}") from None
    if len(body) > MAX_BYTES:
        raise Undeliverable(f"{envelope.type} has {len(body):,} bytes, at most {MAX_BYTES:,} go")
    return {
        "event_id": envelope.id,
        "type": envelope.type,
        "subject": envelope.subject,
        "body": cipher.seal(body, OUTBOX_PURPOSE),
    }
