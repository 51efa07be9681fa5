"""Whether messages can be handled at all: the first write of each is its inbox row."""

from __future__ import annotations

from uuid_utils import uuid7

from admit_one.database import outage

from .models import InboxMessage


def database_works() -> bool:
    """Whether an inbox row can be written now."""
    return outage.can_write(_remember_nothing)


def _remember_nothing() -> None:
    event_id, probe = str(uuid7()), "probe"
    InboxMessage.objects.create(
        source=probe, event_id=event_id, type=probe, subject=probe, fingerprint=b""
    )
