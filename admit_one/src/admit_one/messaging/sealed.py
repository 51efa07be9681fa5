"""What messaging seals, and until when it needs a key besides."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max

from admit_one.sealing.keyring import Sealed

from . import conf
from .models import OUTBOX_PURPOSE, SET_ASIDE_PURPOSE, InboxMessage, OutboxMessage, SetAside

SEALED = (
    Sealed(OutboxMessage, "body", OUTBOX_PURPOSE),
    Sealed(SetAside, "body", SET_ASIDE_PURPOSE),
)


def inbox_needs(kid: str) -> datetime | None:
    """Until when the inbox holds fingerprints made with this key."""
    name = kid.encode()
    prefix = bytes([len(name)]) + name
    beyond = prefix[:-1] + bytes([prefix[-1] + 1])
    made = InboxMessage.objects.filter(fingerprint__gte=prefix, fingerprint__lt=beyond)
    latest: datetime | None = made.aggregate(latest=Max("received_at"))["latest"]
    return latest and latest + timedelta(days=conf.current().INBOX_DAYS)
