"""Writes another mail with a code that was mailed before, or with the one that replaced it.

It goes where the latest mail went, unless the payment side has corrected that address since.
"""

from __future__ import annotations

from admit_one.sealing import cipher

from access_codes.models import AccessCode, MailIntent, Resend

from . import finishing, writing
from .mailboxes import mailbox_hash

State = MailIntent.State

CORRECTED = "its address was corrected"


def write(
    code: AccessCode, email: str | None = None, *, kind: MailIntent.Kind = MailIntent.Kind.RESEND
) -> bool:
    """Write a mail with the code of this row, to `email` or else to where the latest one went.

    With `email`, mails that wait for another mailbox are withdrawn: it was the wrong one.
    Returns false, and writes none, if there is no address that can be read.
    """
    address = latest_address(code) if email is None else email
    if address is None:
        return False
    if email is not None:
        _withdraw_all_but_to(email, code)
    writing.write([writing.Addressed(code.pk, address, code.test)], kind=kind)
    writing.wake_worker()
    return True


def latest_address(code: AccessCode) -> str | None:
    """Where a further mail goes; none if there is no address that can be read."""
    # By the database's clock: ids are made by the clocks of several machines.
    latest = code.mails.order_by("-created_at", "-id").first()
    corrected = Resend.objects.filter(pk=code.pk, corrected_at__isnull=False)
    if latest is not None:
        corrected = corrected.filter(corrected_at__gt=latest.created_at)
    source = corrected.first() or latest
    try:
        return None if source is None else source.address
    except cipher.Unsealable:
        return None


def why_withdrawn(intent: MailIntent) -> str:
    """Why the mail must not be tried again: its address was corrected while it was being sent.

    Empty if it may be. A mail that was never tried was withdrawn when that happened.
    """
    if intent.tried_at is None:
        return ""
    # Without a correction, a further mail goes where the latest one went.
    later = intent.access_code.mails.filter(
        kind=MailIntent.Kind.RESEND, created_at__gt=intent.created_at
    )
    return CORRECTED if later.exclude(recipient_hash=intent.recipient_hash).exists() else ""


def _withdraw_all_but_to(email: str, code: AccessCode) -> None:
    waiting = code.mails.filter(state__in=[State.PENDING, State.UNKNOWN])
    others = waiting.exclude(recipient_hash=mailbox_hash(email)).order_by("id")
    for intent in others.select_for_update():
        finishing.withdraw(intent, CORRECTED)
    finishing.look_again([code.pk])  # one may be about its end
