"""Writes mails as rows, in the transaction of their codes; a worker sends them afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr
from typing import Any, NamedTuple
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import wake
from admit_one.sealing import cipher
from django.conf import settings
from uuid_utils.compat import uuid7

from access_codes.models import RECIPIENT_PURPOSE, MailIntent

from . import withholding
from .mailboxes import mailbox_hash

WITHHELD = {
    "state": MailIntent.State.WITHHELD,
    "next_attempt_at": None,
    "last_error": withholding.WHY,
}

SEND_TASK = "student_service.send_pending_mails"


class Addressed(NamedTuple):
    """Where the mail about a code goes, and whether it was paid with a test key."""

    access_code_id: UUID
    address: str
    test: bool


def write(mails: Iterable[Addressed], **fields: Any) -> None:
    """Write each mail, due at once unless `fields` differ. Of tests, most are withheld."""
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    domain = _our_domain()
    for mail in mails:
        is_withheld = mail.test and not withholding.is_listed(mail.address)
        row = _row(mail.access_code_id, mail.address, domain) | fields
        rows[is_withheld].append(row | WITHHELD if is_withheld else row)
    for same_fields in rows.values():
        bulk.insert(MailIntent, same_fields)


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
