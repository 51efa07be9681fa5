"""What either side must give back to the other about an access, beside its code and payment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from admit_one.messaging.their_clock import believed
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from shared_contracts.events import AccessCodeRestored

from access_codes import terms, webhook_events
from access_codes.models import AccessCode, Revocation, Suspension, Terms

Maker = Suspension.Maker
TERMS = ("version", "valid_from", "valid_until", "uses")


def with_suspensions(codes: QuerySet[AccessCode]) -> QuerySet[AccessCode]:
    """Codes for `of`: they have `by_payment` and `by_operator`, whether each suspends them."""
    return codes.annotate(
        **{
            f"by_{maker}": Exists(
                Suspension.objects.filter(subscription_id=OuterRef("pk"), maker=maker)
            )
            for maker in Maker
        }
    )


def of(row: AccessCode) -> dict[str, Any]:
    """The fields of `AccessState` of a row of `with_suspensions`."""
    state: dict[str, Any] = {
        "generation": row.generation,
        "uses_made": row.uses,
        "suspension_version": row.suspension_version,
        "suspended_by_operator": row.by_operator,
        "revoked_at": row.revocation.revoked_at if row.is_revoked else None,
    }
    if row.has_terms:
        state |= {
            name: getattr(row.terms, name)
            for name in ("version", "valid_from", "valid_until", "uses")
        }
        state["suspended"] = row.by_payment
    return state


def restore(events: Iterable[AccessCodeRestored]) -> None:
    """Give back what the payment side knows better: later terms, uses and suspensions."""
    known = sorted(events, key=lambda event: event.subscription_id)
    terms.keep(known)
    for event in known:
        code = AccessCode.objects.filter(pk=event.subscription_id)
        if event.uses_made:
            code.filter(uses__lt=event.uses_made).update(uses=event.uses_made)
        if event.suspension_version:
            _restore_suspension(code, event)
        if event.revoked_at is not None:
            _, is_new = Revocation.objects.get_or_create(
                access_code_id=event.subscription_id,
                defaults={"revoked_at": believed(event.revoked_at)},
            )
            webhook_events.report_of("revoked", [event.subscription_id] if is_new else [])


def _restore_suspension(code: QuerySet[AccessCode], event: AccessCodeRestored) -> None:
    version = event.suspension_version
    if not code.filter(suspension_version__lte=version).update(suspension_version=version):
        return
    suspension = {"subscription_id": event.subscription_id, "maker": Maker.OPERATOR}
    if event.suspended_by_operator:
        _, changed = Suspension.objects.get_or_create(
            **suspension, defaults={"since": timezone.now()}
        )
    else:
        changed = bool(Suspension.objects.filter(**suspension).delete()[0])
        Terms.objects.filter(pk=event.subscription_id).update(expiry_noted=False)
    webhook_events.report_of(
        "suspended" if event.suspended_by_operator else "reinstated",
        [event.subscription_id] if changed else [],
        unless_suspended_by=Maker.PAYMENT,
    )
