"""What operators do about one code: suspend it, lift that, revoke it, replace it, mail it again.

Each act names the code by its generation, so that a repeated request does not act on the next code.
Each is on record. All but `resend` are idempotent: done again, they change and record nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from admit_one.acts.models import Act
from admit_one.contract.versions import next_version
from admit_one.logs import EventLogger
from admit_one.messaging import Envelope, publish
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeReplaced,
    AccessCodeRevoked,
    AccessSuspensionChanged,
)

from . import codes, webhook_events
from .mails import again, stops
from .models import AccessCode, MailIntent, Revocation, Suspension, Terms

logger = EventLogger(__name__)

OPERATOR, BY_PAYMENT = Suspension.Maker.OPERATOR, Suspension.Maker.PAYMENT


AREA = "access_codes"
"""Of the acts that are on record."""

PAYMENT = "payment_service"
"""Who has done what the payment side asked for, on record."""

RESENT_A_DAY = 3
"""How often a code is mailed again within `DAY`, by the database's clock."""

DAY = timedelta(days=1)


class NotPossible(Exception):
    """There is no such code, or what it has become does not allow this."""


class NoSuchCode(NotPossible):
    """There never was such a code."""


class MailboxStopped(NotPossible):
    """No more mails go to its mailbox, until an operator lifts that or the address is corrected."""


class MailedTooOften(NotPossible):
    """It was mailed again as often as it may be in a day."""

    def __init__(self, row: AccessCode, until: datetime, seconds: int) -> None:
        super().__init__(
            f"code {row.access_id} was mailed again {RESENT_A_DAY} times in 24 hours; "
            f"expected no more until {until:%Y-%m-%dT%H:%M:%SZ}"
        )
        self.seconds = seconds
        """Until it is possible again."""


@transaction.atomic
def suspend(subscription_id: UUID, generation: int, *, by: str | None, reason: str) -> AccessCode:
    """Let the code let in nobody until `reinstate`. Raises `NotPossible`."""
    row = _locked(subscription_id, generation, "suspended")
    _, is_new = Suspension.objects.get_or_create(
        subscription_id=row.pk, maker=OPERATOR, defaults={"since": timezone.now()}
    )
    if is_new:
        _report_suspension(row, suspended=True)
        webhook_events.report_of("suspended", [row.pk], unless_suspended_by=BY_PAYMENT)
        _record(row, "suspend", by, reason)
    return row


@transaction.atomic
def reinstate(subscription_id: UUID, generation: int, *, by: str | None, reason: str) -> AccessCode:
    """Lift what `suspend` did; a suspension by the payment side stays. Raises `NotPossible`."""
    row = _locked(subscription_id, generation, "reinstated")
    # With its terms, which the payment side locks: if both lift theirs, the last one reports it.
    Terms.objects.select_for_update().filter(pk=row.pk).first()
    lifted, _ = Suspension.objects.filter(subscription_id=row.pk, maker=OPERATOR).delete()
    if lifted:
        _report_suspension(row, suspended=False)
        webhook_events.report_of("reinstated", [row.pk], unless_suspended_by=BY_PAYMENT)
        Terms.objects.filter(pk=row.pk).update(expiry_noted=False)
        _record(row, "reinstate", by, reason)
    return row


@transaction.atomic
def revoke(subscription_id: UUID, generation: int, *, by: str | None, reason: str) -> AccessCode:
    """Let the code let in nobody any more, for good. Raises `NotPossible`."""
    row = _locked(subscription_id, generation, "revoked")
    revocation, is_new = Revocation.objects.get_or_create(
        access_code_id=row.pk, defaults={"revoked_at": timezone.now()}
    )
    if is_new:
        revoked = AccessCodeRevoked(subscription_id=row.pk, revoked_at=revocation.revoked_at)
        publish(Envelope.of(revoked))
        webhook_events.report_one("revoked", row)
        _record(row, "revoke", by, reason)
    return row


@transaction.atomic
def replace(subscription_id: UUID, generation: int, *, by: str | None, reason: str) -> AccessCode:
    """Issue the next code of a subscription, mail it, and let this one let in nobody any more.

    Uses, terms and suspensions stay as they are. Raises `NotPossible`.
    """
    row = _row(subscription_id, generation)
    if generation < row.generation:
        return row  # it is replaced already
    if Revocation.objects.filter(pk=row.pk).exists():
        raise NotPossible(f"the code of {row.pk} is revoked, so it cannot be replaced")
    now, code = timezone.now(), codes.make()
    codes.replace(row, code, row.generation + 1, now)
    again.write(row, kind=MailIntent.Kind.REPLACED)
    webhook_events.report_one("replaced", row)
    publish(
        Envelope.of(
            AccessCodeReplaced(
                subscription_id=row.pk,
                generation=row.generation,
                access_code=code,
                issued_at=now,
            )
        )
    )
    _record(row, "replace", by, reason)
    return row


@transaction.atomic
def resend(
    subscription_id: UUID,
    generation: int,
    *,
    by: str | None,
    reason: str,
    email: str | None = None,
) -> AccessCode:
    """Mail the code once more, to `email` or else to the address of the latest mail.

    With `email`, mails that wait for another address are withdrawn. Raises `NotPossible`.
    """
    row = _locked(subscription_id, generation, "mailed again")
    if Revocation.objects.filter(pk=row.pk).exists():
        raise NotPossible(f"code {row.access_id} is revoked, so it cannot be mailed again")
    _mail_again(row, email, by, reason)
    return row


def resend_for_payment(row: AccessCode, email: str | None) -> str:
    """Mail the code of this row, which is locked, as the payment side asks for it.

    Such mails share the limit of `resend`. Returns why it was refused; empty if it was not.
    """
    try:
        _mail_again(row, email, PAYMENT, "requested through the payment side")
    except NotPossible as error:
        return str(error)
    return ""


def _mail_again(row: AccessCode, email: str | None, by: str | None, reason: str) -> None:
    _refuse_too_many(row)
    _refuse_stopped(row, email)
    if not again.write(row, email):
        raise NotPossible(f"code {row.access_id} has no readable address, so give one")
    _record(row, "resend", by, reason, corrected=email is not None)


def _refuse_stopped(row: AccessCode, email: str | None) -> None:
    """Raises `MailboxStopped`."""
    address = email or again.latest_address(row)
    if address and (why := stops.of_address(address)):
        raise MailboxStopped(
            f"code {row.access_id} cannot be mailed again: {why}; "
            "expected another address, or an operator to lift that"
        )


def _refuse_too_many(row: AccessCode) -> None:
    """Raises `MailedTooOften`. The row is locked, so that nobody else adds one."""
    recent = (
        Act.objects.filter(area=AREA, action="resend", target=row.access_id, at__gt=Now() - DAY)
        .annotate(now=Now())
        .order_by("-at")
        .values_list("at", "now")[:RESENT_A_DAY]
    )
    if len(recent) == RESENT_A_DAY:
        oldest, now = recent[RESENT_A_DAY - 1]
        until = oldest + DAY
        raise MailedTooOften(row, until, max(1, ceil((until - now).total_seconds())))


def _row(subscription_id: UUID, generation: int) -> AccessCode:
    """The current code of the subscription, locked. Raises `NotPossible`."""
    row = AccessCode.objects.kept().select_for_update().filter(pk=subscription_id).first()
    if row is None or generation > row.generation:
        raise NoSuchCode(f"there is no code {subscription_id}.{generation}")
    return row


def _locked(subscription_id: UUID, generation: int, what: str) -> AccessCode:
    row = _row(subscription_id, generation)
    if generation < row.generation:
        raise NotPossible(
            f"code {subscription_id}.{generation} was replaced, so it cannot be {what}; "
            f"the code that works now is {row.access_id}"
        )
    return row


def _report_suspension(row: AccessCode, *, suspended: bool) -> None:
    row.suspension_version = next_version(row.suspension_version, timezone.now())
    row.save(update_fields=["suspension_version"])
    changed = AccessSuspensionChanged(
        subscription_id=row.pk, version=row.suspension_version, suspended=suspended
    )
    publish(Envelope.of(changed))


def acts_on(subscription_id: UUID) -> QuerySet[Act]:
    """What people did to the codes of a subscription, the first act first."""
    return Act.objects.filter(area=AREA, subject=str(subscription_id)).order_by("id")


def _record(row: AccessCode, action: str, by: str | None, reason: str, **facts: object) -> None:
    act = Act.draft(
        AREA,
        action,
        by=by,
        reason=codes.hidden_in(reason),
        target=row.access_id,
        subject=str(row.pk),
        facts={"generation": row.generation, "uses": row.uses, **facts},
        result="done",
    )
    act.save()
    logger.warning(
        "code_operated", "{action} {code} by {by}: {reason}",
        action=action, code=row, by=act.by, reason=act.reason,
    )  # fmt: skip
