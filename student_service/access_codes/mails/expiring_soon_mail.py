"""The mail that a code expires soon: its text, and when it is withdrawn. It shows no code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.template.loader import render_to_string

from access_codes import admission
from access_codes.admission import Reason
from access_codes.models import MailIntent

from . import again, writing
from .composing import Letter, name_of

if TYPE_CHECKING:
    from access_codes.looking_up import Checked

Kind, State = MailIntent.Kind, MailIntent.State

SUBJECT = "Your access expires soon"


def write(rows: Sequence[Checked]) -> None:
    """Write the mail of each code to where its latest mail went; one without an address has none.

    Runs in the transaction that notes it.
    """
    for row in rows:
        if address := again.latest_address(row):
            until = row.terms.valid_until
            mail = writing.Addressed(row.pk, address, row.test)
            writing.write([mail], kind=Kind.EXPIRING_SOON, valid_until=until)
    writing.wake_worker()


def reminded(ends: Mapping[UUID, datetime]) -> set[UUID]:
    """Those of these codes for which there is a mail about this end, sent or to be sent."""
    mails = MailIntent.objects.filter(access_code__in=ends, kind=Kind.EXPIRING_SOON)
    warned = mails.exclude(state=State.WITHDRAWN, doubts=0)
    return {
        pk for pk, until in warned.values_list("access_code_id", "valid_until") if ends[pk] == until
    }


def letter(intent: MailIntent) -> Letter:
    until = cast("datetime", intent.valid_until)  # each mail of this kind has it
    context = {
        "plan": name_of(intent.access_code.plan),
        "until": f"{until.astimezone(UTC):%-d %B %Y, %H:%M} UTC",
    }
    return Letter(
        subject=SUBJECT,
        text=render_to_string("access_codes/expiring_soon.txt", context),
        html=render_to_string("access_codes/expiring_soon.html", context),
    )


def why_withdrawn(intent: MailIntent) -> str:
    """Why the mail must not be sent any more; empty if it may be: what it says still holds."""
    row = admission.with_state().get(pk=intent.access_code_id)
    if not row.has_terms or row.terms.valid_until != intent.valid_until:
        return "its code is valid until another time now"
    reason = admission.decide(row)
    if reason != Reason.OK:
        return f"its code does not let in now: {reason.value}"
    return "its code is used up" if admission.uses_left(row) == 0 else ""
