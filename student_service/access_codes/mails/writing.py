"""A mail becomes a row in the transaction that causes it; a worker sends it afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr
from typing import Any
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import wake_task
from admit_one.sealing import cipher
from django.conf import settings
from uuid_utils.compat import uuid7

from access_codes.models import RECIPIENT_PURPOSE, MailIntent

SEND_TASK = "student_service.send_pending_mails"


def write(addressed: Iterable[tuple[UUID, str]], **fields: Any) -> None:
    """Write a mail for each pair of an access code's id and an address.

    Each is due at once, unless `fields` say otherwise.
    """
    bulk.insert(MailIntent, [_row(code_id, address) | fields for code_id, address in addressed])


def wake_worker() -> None:
    """Have a worker look for due mails once the current transaction is committed."""
    wake_task(SEND_TASK)


def recipient_hash(address: str) -> bytes:
    """The keyed hash under which the mails to an address are counted."""
    return cipher.lookup_hash(address.lower(), settings.CODE_LOOKUP_KEY)


def _row(access_code_id: UUID, address: str) -> dict[str, Any]:
    intent_id = uuid7()
    return {
        "id": intent_id,
        "access_code_id": access_code_id,
        "message_id": f"<{intent_id}@{_our_domain()}>",
        "recipient": cipher.seal(address.encode(), RECIPIENT_PURPOSE),
        "recipient_hash": recipient_hash(address),
    }


def _our_domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
