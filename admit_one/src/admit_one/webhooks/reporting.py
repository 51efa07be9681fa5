"""Writes what has happened as deliveries, in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from admit_one.contract.errors import NotInTransaction
from admit_one.database import bulk, together

from . import wake
from .known import Listener, listeners
from .models import Delivery


class About(NamedTuple):
    """What has happened to one thing: ids and states, never a secret, an address or a text."""

    data: Mapping[str, Any]
    client: str | None = None
    """Whose thing it is; none: every client of the service may hear of it."""
    test: bool = False
    """Whether it is a test, of which only endpoints made with a test key hear."""
    subject: UUID | None = None
    """The thing's id, by which `manage.py why` finds what was sent about it."""


def heard(event: str) -> bool:
    """Whether any endpoint listens to this type; at most `known.KEPT` seconds old."""
    return bool(listeners.to(event))


def report(event: str, happened: Iterable[About]) -> None:
    """Write a delivery for each endpoint that listens to this type, and wake a worker.

    What has `happened` is not looked at if no endpoint listens, so a generator may ask the
    database. Raises `NotInTransaction` outside a transaction.
    """
    listening = listeners.to(event)
    if not listening:
        return
    rows = [row for about in happened for row in _rows(event, about, listening)]
    if not rows:
        return
    if not connection.in_atomic_block:
        raise NotInTransaction
    # In a transaction that is one statement, single rows become a part of it.
    step = 1 if together.is_open() else len(rows)
    for start in range(0, len(rows), step):
        bulk.insert(Delivery, rows[start : start + step])
    wake.worker()


def body_of(event: str, data: Mapping[str, Any]) -> str:
    """The JSON that is sent, after Standard Webhooks."""
    body = {"type": event, "timestamp": _text(timezone.now()), "data": data}
    return json.dumps(body, separators=(",", ":"), default=_text)


def _rows(event: str, about: About, listening: Sequence[Listener]) -> Iterator[dict[str, Any]]:
    body = ""
    for listener in listening:
        is_theirs = about.client is None or about.client == listener.client
        if is_theirs and about.test == listener.test:
            body = body or body_of(event, about.data)
            yield row(listener.endpoint_id, event, body, about.subject)


def row(endpoint_id: UUID, event: str, body: str, subject: UUID | None = None) -> dict[str, Any]:
    """The columns of a delivery that the database does not fill in."""
    columns = {"endpoint_id": endpoint_id, "type": event, "subject": subject, "body": body}
    return {"id": uuid7(), **columns}


def _text(value: Any) -> str:
    """As the API writes it."""
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
