"""Writes mails as rows, in the transaction of their codes; a worker sends them afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr
from typing import Any
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import wake
from admit_one.sealing import cipher
from django.conf import settings
from uuid_utils.compat import uuid7

from access_codes.models import RECIPIENT_PURPOSE, MailIntent

from .mailboxes import mailbox_hash

SEND_TASK = "student_service.send_pending_mails"


def write(addressed: Iterable[tuple[UUID, str]], **fields: Any) -> None:
    """Write a mail for each access code id and address, due at once unless `fields` differ."""
    domain = _our_domain()
    bulk.insert(
        MailIntent, [_row(code_id, address, domain) | fields for code_id, address in addressed]
    )


def wake_worker() -> None:
    """Wake a worker when the current transaction is committed."""
    wake.task(SEND_TASK)


def _row(access_code_id: UUID, address: str, domain: str) -> dict[str, Any]:
    intent_id = uuid7()
    return {
        "id": intent_id,
        "access_code_id": access_code_id,
        "message_id": f"<{intent_id}@{domain}>",
        "recipient": cipher.seal(address.encode(), RECIPIENT_PURPOSE, intent_id),
        "recipient_hash": mailbox_hash(address),
    }


def _our_domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
