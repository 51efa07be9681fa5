"""A subscription as JSON, in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from admit_one.contract import patterns
from admit_one.logs import EventLogger
from admit_one.web import MailAddress, StrictSerializer, VisibleText, WholeNumber, openapi
from rest_framework import serializers
from shared_contracts.events import CODE_PATTERN

from . import metrics
from .currencies import AS_OF, CURRENCIES
from .models import Subscription, paid_of

logger = EventLogger(__name__)


class UserIdField(VisibleText):
    """Opaque text; a JSON integer is read as its digits."""

    READS_INTEGERS = True

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(str(data) if type(data) is int else data)


class PlanField(VisibleText):
    """The name of a plan, not a link: the mail with the code shows it."""

    PATTERN = patterns.WORD.replace("[^", r"[^:/@\\", 1)

    default_error_messages = {  # noqa: RUF012
        "link": "expected the name of a plan, without : / @ and \\"
    }

    def to_internal_value(self, data: Any) -> str:
        plan = super().to_internal_value(data)
        if not re.fullmatch(self.PATTERN, plan):
            self.fail("link")
        return plan


class CurrencyField(VisibleText):
    """An upper-case ISO 4217 code."""

    PATTERN = patterns.CURRENCY

    default_error_messages = {  # noqa: RUF012
        "unknown": f"expected a currency of ISO 4217 as of {AS_OF}, such as EUR"
    }

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if code not in CURRENCIES:
            self.fail("unknown")
        return code


class NewSubscription(StrictSerializer):
    """A paid subscription to record."""

    user_id = UserIdField(max_length=64, help_text="opaque; an integer is read as its digits")
    email = MailAddress(max_length=254, help_text="the address to which the access code is mailed")
    plan = PlanField(
        max_length=64, help_text="your name of what was paid for; the mail with the code shows it"
    )
    amount = WholeNumber(min_value=0, help_text="in minor units, 4900 = 49 €")
    currency = CurrencyField(
        help_text=f"ISO 4217, list one as of {AS_OF}, without metals, units of account and codes "
        "for tests and for none"
    )


new_subscription = NewSubscription()
"""Shared by all requests: building its fields costs more than validating a request."""


class MailFailure(serializers.Serializer[Any]):
    """The mail with the code was given up. The code itself is valid."""

    at = serializers.DateTimeField(help_text="when it was given up")
    reason = serializers.CharField(max_length=300, help_text="human-readable")


class AccessCodeFailure(serializers.Serializer[Any]):
    """The code has arrived, but cannot be shown. Neither the code nor its mail is affected."""

    reason = serializers.CharField(help_text="human-readable")


class SubscriptionAnswer(serializers.Serializer[Any]):
    """A subscription as its owner sees it."""

    # For the schema only: `shown` makes the JSON.
    id = serializers.UUIDField(help_text="names it in paths")
    user_id = VisibleText(max_length=64, help_text="as it was reported")
    email = MailAddress(max_length=254, help_text="as it was reported")
    plan = VisibleText(max_length=64, help_text="as it was reported")
    amount = WholeNumber(min_value=0, help_text="in minor units of the currency")
    currency = CurrencyField(help_text="as it was reported; the list may have changed since")
    status = serializers.ChoiceField(
        choices=["pending", "active", "cancelled"],
        help_text="`pending` until the code arrives, then `active`; `cancelled` is permanent",
    )
    access_code = serializers.RegexField(
        CODE_PATTERN,
        allow_null=True,
        help_text="null until it arrives, and if `access_code_failure` says why; "
        "no longer works once it is revoked",
    )
    access_code_failure = AccessCodeFailure(
        allow_null=True, help_text="null unless the code has arrived and cannot be shown"
    )
    mail_failure = MailFailure(allow_null=True, help_text="null unless the mail was given up")
    created_at = serializers.DateTimeField(help_text="when it was recorded")
    cancelled_at = serializers.DateTimeField(allow_null=True, help_text="null unless cancelled")
    code_revoked_at = serializers.DateTimeField(
        allow_null=True, help_text="when the code was revoked; null until confirmed"
    )


class SubscriptionPage(serializers.Serializer[Any]):
    """A page of subscriptions, newest first."""

    results = SubscriptionAnswer(many=True, help_text="at most `limit`")
    next = openapi.NextPage()


CODE_FAILURE = {"reason": "the code cannot be decrypted here; the code in the mail is the same"}


def shown(subscription: Subscription) -> dict[str, Any]:
    """The subscription as JSON. Never raises."""
    return shown_all([subscription])[0]


def shown_all(subscriptions: Iterable[Subscription]) -> list[dict[str, Any]]:
    """The subscriptions as JSON. Codes that cannot be decrypted are null, counted and logged."""
    answers = [_shown(subscription) for subscription in subscriptions]
    failed = [answer["id"] for answer in answers if answer["access_code_failure"]]
    if failed:
        metrics.UNREADABLE_CODES.inc(len(failed))
        logger.error(
            "code_does_not_open",
            "the API cannot show {codes} codes, because they cannot be unsealed, "
            "such as that of subscription {subscription}",
            codes=len(failed),
            subscription=failed[0],
        )
    return answers


def _shown(subscription: Subscription) -> dict[str, Any]:
    """Without DRF, which takes five times as long."""
    code = subscription.code_or_unreadable
    return {
        "id": str(subscription.id),
        **paid_of(subscription),
        "status": subscription.status,
        "access_code": code or None,
        "access_code_failure": CODE_FAILURE if code == "" else None,
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
