"""The payment side's requests to mail a code again: each is handled once, and answered.

A request may come before its code, and then waits for it. If both are handled at the same moment,
neither sees the other: then the request stays without an answer, and finds the code when the
payment side repeats it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging import Envelope, publish
from django.utils import timezone
from shared_contracts.events import AccessCodeResendAnswered, AccessCodeResendRequested

from . import operating
from .models import AccessCode, Resend, Revocation


def resend_codes(messages: Sequence[Envelope[AccessCodeResendRequested]]) -> None:
    """Mail the code of each request again, or refuse it, and answer.

    A repeated request gets its answer again, an earlier one that of the latest. One whose code
    does not exist yet gets none: it is answered when the code is issued (see `corrected_before`).
    Runs in the inbox's transaction.
    """
    # Sorted, because two batches in different orders could deadlock.
    for message in sorted(messages, key=lambda message: message.data.subscription_id):
        request = _kept(message.data)
        if not request.is_answered:
            _handle(request)
        if request.is_answered:
            publish(message.follow(_answer(request)))


def corrected_before(subscriptions: Collection[UUID]) -> dict[UUID, str]:
    """The addresses of these new codes that the payment side has corrected before they came.

    The requests that did so are answered: the mail of the code does what they ask. Runs in the
    inbox's transaction.
    """
    early = bulk.existing(Resend, subscriptions)
    corrected = {}
    for request in Resend.objects.filter(pk__in=early).order_by("pk").select_for_update():
        if not request.is_answered:
            _close(request)
            publish(_answer(request))
        if request.address is not None:
            corrected[request.pk] = request.address
    return corrected


def _answer(request: Resend) -> AccessCodeResendAnswered:
    """What reports how the latest request was handled."""
    return AccessCodeResendAnswered(
        subscription_id=request.pk,
        version=request.answered,
        refused=request.refused or None,
        answered_at=request.answered_at,
    )


def _kept(event: AccessCodeResendRequested) -> Resend:
    """The latest request about this subscription, locked: this one, or a later one."""
    Resend.objects.get_or_create(pk=event.subscription_id)
    request = Resend.objects.select_for_update().get(pk=event.subscription_id)
    if event.version > request.version:
        request.version = event.version
        if event.email is not None:
            request.correct(event.email)
        request.save()
    return request


def _handle(request: Resend) -> None:
    if Revocation.objects.filter(pk=request.pk).exists():
        _close(request, refused="the code is revoked")
        return
    code = AccessCode.objects.select_for_update().filter(pk=request.pk).first()
    if code is not None:
        _close(request, refused=operating.resend_for_payment(code, request.address))


def _close(request: Resend, refused: str = "") -> None:
    request.answered, request.answered_at = request.version, timezone.now()
    request.refused = refused
    request.save(update_fields=["answered", "answered_at", "refused"])
