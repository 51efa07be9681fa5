"""Publishes events: writes them in the transaction of the change that they report."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

from admit_one.contract import Envelope, Event, strict_json
from admit_one.contract.errors import Malformed, NotInTransaction, Undeliverable
from admit_one.database import bulk
from admit_one.sealing import cipher

from . import conf, peers, wake
from .models import OUTBOX_PURPOSE, OutboxMessage

NAME = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
"""What every reader accepts; see `admit_one.contract.envelope`."""

NUL = b"\\u0000"
"""NUL as JSON writes it; a text may also contain these six characters."""


def publish(*messages: Event | Envelope[Any]) -> None:
    """Write events to the outbox and wake the relay after the commit.

    An event gets a new envelope; `message.follow(event)` makes one that replies to `message`.
    Raises `NotInTransaction` outside `transaction.atomic()`, and `Undeliverable` for an event
    of another service, one that no reader would accept (too large, without a subject, with a NUL
    or a number that JSON does not have), or one that needs a key that is not in the settings.
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
        raise Undeliverable(f"{service.name} is not the producer of {envelope.type}")
    if getattr(envelope.data, about) is None or not NAME.fullmatch(str(envelope.subject)):
        raise _invalid_name(envelope, f"subject ({about})")
    for attribute in ("id", "correlationid", "causationid"):
        if not NAME.fullmatch(str(getattr(envelope, attribute))):
            raise _invalid_name(envelope, attribute)
    try:
        body = envelope.to_json(peers.seal)
        if NUL in body:
            strict_json.loads(body)
    except (ValueError, Malformed) as error:
        raise Undeliverable(f"{envelope.type} cannot be written as JSON: {error}") from None
    if len(body) > strict_json.MAX_BYTES:
        most = f"at most {strict_json.MAX_BYTES:,} allowed"
        raise Undeliverable(f"{envelope.type}: {len(body):,} bytes, {most}")
    return {
        "event_id": envelope.id,
        "type": envelope.type,
        "subject": envelope.subject,
        "body": cipher.seal(body, OUTBOX_PURPOSE, envelope.id),
        "signature": peers.signature_of(envelope, body),
    }


def _invalid_name(envelope: Envelope[Any], which: str) -> Undeliverable:
    return Undeliverable(
        f"{envelope.type}: expected a {which} of 1 to 255 characters, none of them "
        "a control character"
    )
