"""Stripe: verifies its webhooks, and turns its events into our commands.

What its objects hold is in https://docs.stripe.com/api; the version is that of the `stripe`
library, which is only imported to verify a signature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from admit_one.contract import strict_json
from admit_one.contract.errors import Malformed
from admit_one.contract.fields import MAX_AMOUNT
from admit_one.erasure.definition import Person
from admit_one.masking import harmless
from django.conf import settings

from .commands import Cancel, Command, Ignore, Link, Note, PastDue, Record, Refund, Renew
from .parts import Part
from .provider import Event, Forged, OtherVersion

API_VERSION = "2026-10-28.endive"
"""The version of the objects that this file reads; a webhook endpoint is set to it."""

TOLERANCE = 300
"""Seconds since the signature was made, as Stripe recommends."""

PAID = frozenset({"paid", "no_payment_required"})

LACKS = "user_id (client_reference_id or metadata), email (customer_details), plan (metadata)"

USER_IDS = (
    "object.client_reference_id",
    "object.metadata.user_id",
    "object.parent.subscription_details.metadata.user_id",
)
"""Where an event may have our user; the last one is an invoice's."""

ADDRESSES = (
    *("object.customer_details.email", "object.customer_email"),
    *("object.billing_details.email", "object.receipt_email"),
    "object.payment_method_details.paypal.payer_email",
    "object.evidence.customer_email_address",
    *("object.instructions_email", "object.next_action.display_details.email_sent.email_sent_to"),
)
"""Of checkouts and invoices, of charges, of disputes and of refunds."""

OF_NO_PERIOD = frozenset(
    {"subscription_update", "manual", "automatic_pending_invoice_item_invoice"}
)
"""Reasons of invoices between two periods: of a change, or of what somebody charged by hand."""

IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
"""Without minor units in ISO 4217; Stripe writes hundredths (docs.stripe.com/currencies)."""

WITHOUT_MINOR = frozenset({"MGA"})
"""With minor units in ISO 4217, a hundred by its exponent; Stripe writes whole ones."""


class Stripe:
    """The provider; see `provider.Provider`."""

    name: str = "stripe"

    def is_on(self) -> bool:
        return bool(settings.STRIPE_WEBHOOK_SECRETS)

    def client(self) -> str:
        return str(settings.STRIPE_CLIENT)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        # Imported here: it takes 0.2 s and up to 30 MB.
        from stripe import SignatureVerificationError, WebhookSignature  # noqa: PLC0415

        header = headers.get("Stripe-Signature", "")
        for secret in settings.STRIPE_WEBHOOK_SECRETS if header.isascii() else ():
            try:
                WebhookSignature.verify_header(body, header, secret, TOLERANCE)
            except (SignatureVerificationError, UnicodeDecodeError):
                continue
            return
        raise Forged(
            "expected a Stripe-Signature of this body, made with a secret of "
            f"STRIPE_WEBHOOK_SECRETS at most {TOLERANCE} s ago"
        )

    def read(self, body: bytes) -> Event:
        event = Part(strict_json.loads(body))
        version = event.value.get("api_version")
        if version != API_VERSION:
            got = harmless(str(version))[:64]
            raise OtherVersion(
                f"expected an event of Stripe's API version {API_VERSION}, got {got}"
            )
        return Event(
            id=event.id("id"),
            type=event.id("type"),
            created_at=event.seconds("created"),
            test=not event.yes("livemode"),
            content=Part(
                {**event.part("data").value, "account": event.value.get("account")}, "data"
            ),
        )

    def command(self, event: Event) -> Command:
        if "account" in event.content:  # whose owner could sell our plans to anybody
            return Ignore(reason="an event of a connected account")
        reader = READERS.get(event.type)
        if reader is None:
            return Ignore(reason="events of this type change no subscription")
        return reader(event.content.part("object"))

    def person(self, event: Event) -> Person:
        content = event.content
        return Person(user_ids=content.texts(*USER_IDS), emails=content.texts(*ADDRESSES))

    def recurs(self, external_id: str) -> bool:
        return external_id.startswith("sub_")


def _checkout(session: Part) -> Command:
    """A paid one is recorded; of one that is paid later, Stripe reports that by another event."""
    mode = session.id("mode")
    if mode == "setup":
        return Ignore(reason="a checkout that sells nothing (mode setup)")
    status = session.id("payment_status")
    if status not in PAID:
        return Ignore(reason="not paid yet: checkout.session.async_payment_succeeded reports that")
    metadata, person = session.part_or_empty("metadata"), session.part_or_empty("customer_details")
    amount, currency = _money(session, "amount_total")
    return Record(
        subject=session.id("id"),
        links=_ids(session, "subscription", "payment_intent", "invoice"),
        amount=amount,
        currency=currency,
        user_id=session.value.get("client_reference_id") or metadata.value.get("user_id"),
        email=person.value.get("email") or session.value.get("customer_email"),
        plan=metadata.value.get("plan"),
        lacks=LACKS,
    )


def _invoice_paid(invoice: Part) -> Command:
    return _of_invoice(invoice, Renew, "amount_paid")


def _invoice_failed(invoice: Part) -> Command:
    """What is paid stays paid, also if a change to something dearer is not."""
    if invoice.value.get("billing_reason") in OF_NO_PERIOD:
        return Ignore(reason="the payment of a change failed: the period before it is paid")
    return _of_invoice(invoice, PastDue, "amount_due")


def _of_invoice(invoice: Part, kind: type[Renew | PastDue], money: str) -> Command:
    details = invoice.part_or_empty("parent").part_or_empty("subscription_details")
    subscription = details.id_or_none("subscription")
    if subscription is None:
        return Ignore(reason="an invoice of no subscription")
    amount, currency = _money(invoice, money)
    made, until = invoice.seconds("created"), _paid_until(invoice.part("lines"))
    return kind(
        subject=subscription,
        links=(invoice.id("id"),),
        until=until if until > made else None,  # else of what was used before, such as units
        invoiced_at=made,
        amount=amount,
        currency=currency,
    )


def _paid_until(lines: Part) -> datetime:
    """The end of the latest period among the lines, of those of a subscription if there are any.

    An event has the first lines only (`has_more`), and those of the subscription come last.
    """
    ends: dict[bool, list[datetime]] = {True: [], False: []}
    for line in lines.parts("data"):
        parent = line.part_or_empty("parent")
        of_subscription = parent.value.get("type") == "subscription_item_details"
        ends[of_subscription].append(line.part("period").seconds("end"))
    if not ends[True] and (not ends[False] or lines.value.get("has_more")):
        raise Malformed("data.object.lines: expected the line of the subscription")
    return max(ends[True] or ends[False])


def _invoice_payment(payment: Part) -> Command:
    """Which payment an invoice was paid by: a charge names no invoice since 2025-03-31."""
    paid_by = _ids(payment.part("payment"), "payment_intent", "charge")
    if not paid_by:
        return Ignore(reason="paid outside Stripe")
    return Link(subject=payment.id("invoice"), links=paid_by)


def _ended(subscription: Part) -> Command:
    return Cancel(subject=subscription.id("id"))


def _charge_refunded(charge: Part) -> Command:
    if not charge.yes("refunded"):
        return Ignore(reason="refunded in part")
    amount, currency = _money(charge, "amount_refunded")
    subject = charge.id_or_none("payment_intent") or charge.id("id")
    return Refund(subject=subject, amount=amount, currency=currency)


def _disputed(dispute: Part) -> Command:
    """The shop may win, and an inquiry may go no further: until then, nothing changes."""
    return _note(dispute, f"a payment is disputed ({dispute.id('status')}): answer that at Stripe")


def _dispute_closed(dispute: Part) -> Command:
    """One that is lost has taken the money back."""
    status = dispute.id("status")
    if status != "lost":
        return _note(dispute, f"a dispute is closed: {status}")
    amount, currency = _money(dispute, "amount")
    return Refund(subject=_payment_of(dispute), amount=amount, currency=currency)


def _refund_failed(refund: Part) -> Command:
    """The money is back at Stripe, and the code stays revoked."""
    return _note(refund, "a refund failed: pay it back in another way, or sell again")


def _note(part: Part, text: str) -> Note:
    amount, currency = _money(part, "amount")
    return Note(subject=_payment_of(part), text=text, amount=amount, currency=currency)


def _payment_of(part: Part) -> str:
    return part.id_or_none("payment_intent") or part.id("charge")


def _money(part: Part, name: str) -> tuple[int | None, str]:
    """The amount in minor units of ISO 4217; none if there is none, or no amount of money."""
    amount, currency = part.value.get(name), str(part.value.get("currency") or "").upper()
    if type(amount) is int and currency in WITHOUT_MINOR:
        amount *= 100
    if type(amount) is int and currency in IN_HUNDREDTHS:
        amount, rest = divmod(amount, 100)
        amount = None if rest else amount
    ok = type(amount) is int and 0 <= amount <= MAX_AMOUNT and currency.isascii()
    return (amount, currency) if ok and len(currency) == 3 else (None, "")


def _ids(part: Part, *names: str) -> tuple[str, ...]:
    return tuple(each for name in names if (each := part.id_or_none(name)))


READERS: Mapping[str, Callable[[Part], Command]] = {
    "checkout.session.completed": _checkout,
    "checkout.session.async_payment_succeeded": _checkout,
    "invoice.paid": _invoice_paid,
    "invoice.payment_failed": _invoice_failed,
    "invoice_payment.paid": _invoice_payment,
    "customer.subscription.deleted": _ended,
    "charge.refunded": _charge_refunded,
    "charge.dispute.created": _disputed,
    "charge.dispute.closed": _dispute_closed,
    "refund.failed": _refund_failed,
}
"""What each type of event comes to; all others are ignored."""
