"""The mail that a code expires soon: what it tells, and when it is withdrawn. It shows no code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from access_codes import admission
from access_codes.admission import Reason
from access_codes.models import MailIntent

from . import again, writing

if TYPE_CHECKING:
    from access_codes.looking_up import Checked

Kind, State = MailIntent.Kind, MailIntent.State


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


def facts(intent: MailIntent) -> Mapping[str, Any]:
    """Until when the code works: a time for the filter `date` of a template."""
    until = cast("datetime", intent.valid_until)  # each mail of this kind has it
    return {"until": until.astimezone(UTC)}


def why_withdrawn(intent: MailIntent) -> str:
    """Why the mail must not be sent any more; empty if it may be: what it says still holds."""
    row = admission.with_state().get(pk=intent.access_code_id)
    if not row.has_terms or row.terms.valid_until != intent.valid_until:
        return "its code is valid until another time now"
    reason = admission.decide(row)
    if reason != Reason.OK:
        return f"its code does not let in now: {reason.value}"
    return "its code is used up" if admission.uses_left(row) == 0 else ""
