"""A subscription as JSON, in and out."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from admit_one.contract.fields import EMAIL_PATTERN, MAX_AMOUNT
from admit_one.web.serializers import StrictSerializer, VisibleText, WholeNumber
from babel.core import get_global
from django.core.exceptions import ValidationError as Invalid
from django.core.validators import EmailValidator
from rest_framework import serializers

from .models import Subscription, paid_of

CURRENCIES = frozenset(
    code
    for territory in get_global("territory_currencies").values()
    for code, _since, until, legal_tender in territory
    if legal_tender and until is None
)
"""The ISO 4217 codes of all money that is legal tender somewhere today."""

is_mailable = EmailValidator(allowlist=[])


class UserIdField(VisibleText):
    """An opaque text; a JSON integer is taken as its decimal text."""

    def to_internal_value(self, data: Any) -> str:
        """The user id as a text."""
        return super().to_internal_value(str(data) if type(data) is int else data)


class EmailField(VisibleText):
    """One address that mail can be sent to, kept as it is written."""

    default_error_messages = {"email": "expected one mail address, such as ada@example.com"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        """The address. What lies beyond ASCII cannot be mailed everywhere, and may be a trap."""
        address = super().to_internal_value(data)
        if not address.isascii() or not re.fullmatch(EMAIL_PATTERN, address):
            self.fail("email")
        try:
            is_mailable(address)
        except Invalid:
            self.fail("email")
        return address


class CurrencyField(VisibleText):
    """An upper-case ISO 4217 code."""

    default_error_messages = {"unknown": "expected an ISO 4217 code, such as EUR"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        """The code."""
        code = super().to_internal_value(data)
        if code not in CURRENCIES:
            self.fail("unknown")
        return code


class NewSubscription(StrictSerializer):
    """What a client reports of a paid subscription."""

    user_id = UserIdField(max_length=64, help_text="opaque; an integer is taken as its digits")
    email = EmailField(max_length=254, help_text="where the access code is mailed to")
    plan = VisibleText(max_length=64)
    amount = WholeNumber(min_value=0, max_value=MAX_AMOUNT, help_text="in minor units, 4900 = 49 €")
    currency = CurrencyField(help_text="ISO 4217, upper case")


new_subscription = NewSubscription()
"""Shared by all requests: building its fields costs more than checking a request with them."""


class MailFailure(serializers.Serializer[Any]):
    """A mail with the code was given up; the code itself is good."""

    at = serializers.DateTimeField()
    reason = serializers.CharField(help_text="for people")


class SubscriptionAnswer(serializers.Serializer[Any]):
    """A subscription as its owner sees it. It describes what `shown` gives, for the API page."""

    id = serializers.UUIDField()
    user_id = serializers.CharField()
    email = serializers.EmailField()
    plan = serializers.CharField()
    amount = serializers.IntegerField(help_text="in minor units of the currency")
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=["pending", "active", "cancelled"])
    access_code = serializers.CharField(
        allow_null=True, help_text="null until it has come; of no use once cancelled"
    )
    mail_failure = MailFailure(allow_null=True, help_text="null unless its mail was given up")
    created_at = serializers.DateTimeField()
    cancelled_at = serializers.DateTimeField(allow_null=True, help_text="null unless it was")
    code_revoked_at = serializers.DateTimeField(
        allow_null=True, help_text="since when the code lets nobody in; null until that is known"
    )


class SubscriptionPage(serializers.Serializer[Any]):
    """Subscriptions, newest first, and where the next page is."""

    results = SubscriptionAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="the next page's URL; null at the end")


def shown(subscription: Subscription) -> dict[str, Any]:
    """The subscription as JSON. By hand: DRF would take five times as long for the same."""
    return {
        "id": str(subscription.id),
        **paid_of(subscription),
        "status": subscription.status,
        "access_code": subscription.code,
        "mail_failure": _mail_failure(subscription),
        "created_at": _as_text(subscription.created_at),
        "cancelled_at": _as_text(subscription.cancelled_at),
        "code_revoked_at": _as_text(subscription.code_revoked_at),
    }


def _mail_failure(subscription: Subscription) -> dict[str, str | None] | None:
    if subscription.mail_failed_at is None:
        return None
    return {"at": _as_text(subscription.mail_failed_at), "reason": subscription.mail_failure}


def _as_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
