"""A subscription as JSON, in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from admit_one.contract import patterns
from admit_one.contract.languages import LONGEST_TAG, language_tag
from admit_one.logs import EventLogger
from admit_one.web import (
    Line,
    MailAddress,
    Moment,
    StrictSerializer,
    VisibleText,
    WholeNumber,
    as_text,
    openapi,
)
from admit_one.web.serializers import whole
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from shared_contracts.events import CODE_PATTERN, MAX_USES

from . import metrics
from .currencies import AS_OF, CURRENCIES
from .models import STATUSES, Subscription, paid_of
from .own_words import MAX_REFERENCE, MetadataAnswer, MetadataField, OwnReference

logger = EventLogger(__name__)


class UserIdField(VisibleText):
    """Opaque text; a JSON integer is read as its digits."""

    READS_INTEGERS = True

    def to_internal_value(self, data: Any) -> str:
        number = whole(data)
        return super().to_internal_value(data if number is None else str(number))


class PlanField(VisibleText):
    """The name of a plan, not a link: the mail with the code shows it."""

    PATTERN = patterns.SEEN.replace("[^", r"[^:/@\\", 1)

    default_error_messages = {  # noqa: RUF012
        "link": "expected the name of a plan, without : / @ and \\"
    }

    def to_internal_value(self, data: Any) -> str:
        plan = super().to_internal_value(data)
        if not re.fullmatch(self.PATTERN, plan):
            self.fail("link")
        return plan


@extend_schema_field({"type": "string"})
class LanguageField(serializers.Field[Any, Any, Any, Any]):
    """A language tag. Any other text is read as none: it must not refuse who has paid."""

    default_error_messages = {"invalid": "expected text"}  # noqa: RUF012 (DRF's way)

    def to_internal_value(self, data: Any) -> str | None:
        if not isinstance(data, str):
            self.fail("invalid")
        return language_tag(data)

    def to_representation(self, value: Any) -> Any:
        return value


class CurrencyField(VisibleText):
    """An upper-case ISO 4217 code."""

    PATTERN = patterns.CURRENCY
    TAKES = CURRENCIES

    default_error_messages = {  # noqa: RUF012
        "unknown": f"expected a currency of ISO 4217 as of {AS_OF}, such as EUR"
    }

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if code not in CURRENCIES:
            self.fail("unknown")
        return code


class ReasonField(Line):
    """Why something is done, in one line."""

    def __init__(self) -> None:
        super().__init__(
            required=False, max_length=300, help_text="why; kept and shown as `reason`"
        )


class Ending(StrictSerializer):
    """Why a subscription is cancelled, refunded or past due."""

    reason = ReasonField()


class Renewal(StrictSerializer):
    """Until when a subscription is paid now."""

    valid_until = Moment(
        allow_null=True, help_text="exclusive; null if the subscription has no end"
    )
    reason = ReasonField()


class Resending(StrictSerializer):
    """Where the code is to be mailed again, and why."""

    email = MailAddress(
        max_length=254,
        required=False,
        help_text="a corrected address, which becomes that of the subscription and needs a "
        "`reason`; by default, the code goes where it went before",
    )
    reason = ReasonField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "email" in attrs and not attrs.get("reason"):
            expected = ErrorDetail("expected a reason, because of the email", code="required")
            raise serializers.ValidationError({"reason": [expected]})
        return attrs


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
    valid_from = Moment(
        required=False, allow_null=True, help_text="when the code begins to work; null: at once"
    )
    valid_until = Moment(
        required=False, allow_null=True, help_text="when it stops to, exclusive; null: never"
    )
    uses = WholeNumber(
        min_value=1,
        max_value=MAX_USES,
        required=False,
        allow_null=True,
        help_text="how often it can be redeemed; null: any number of times",
    )
    language = LanguageField(
        required=False,
        allow_null=True,
        help_text="of the mails to the user, BCP 47, such as `de` or `de-AT`; any text is "
        "accepted: what is no tag is kept as null, and for a language without templates the "
        "student service takes its default",
    )
    reference = OwnReference()
    metadata = MetadataField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        begin, end = attrs.get("valid_from"), attrs.get("valid_until")
        if begin is not None and end is not None and end <= begin:
            expected = ErrorDetail("expected a time after valid_from", code="invalid")
            raise serializers.ValidationError({"valid_until": [expected]})
        return attrs


new_subscription = NewSubscription()
"""Shared by all requests: building its fields costs more than validating a request."""


MASKED = "****-****-****-"
"""Instead of all but the last group of a code."""

_GROUP = CODE_PATTERN[1:].partition("(")[0]
CODE_OR_MASKED = rf"^({_GROUP}-|\*{{4}}-){{3}}{_GROUP}$"


class MailFailure(serializers.Serializer[Any]):
    """The mail with the code was given up. The code itself is valid."""

    at = serializers.DateTimeField(help_text="when it was given up")
    reason = serializers.CharField(max_length=300, help_text="human-readable")


class Resend(serializers.Serializer[Any]):
    """The latest request to mail the code again."""

    requested_at = serializers.DateTimeField(help_text="when it was requested")
    answered_at = serializers.DateTimeField(
        allow_null=True,
        help_text="when the student service wrote the mail or refused to; null until then",
    )
    refused = serializers.CharField(
        allow_null=True, max_length=300, help_text="why no mail was written; null unless refused"
    )


class Problem(serializers.Serializer[Any]):
    """The code cannot be issued yet. It is requested again until it comes."""

    at = serializers.DateTimeField(help_text="when the student service gave up")
    reason = serializers.CharField(max_length=300, help_text="human-readable")


class AccessCodeFailure(serializers.Serializer[Any]):
    """The code has arrived, but cannot be shown. Neither the code nor its mail is affected."""

    reason = serializers.CharField(help_text="human-readable")


@extend_schema_field(
    {"anyOf": [{"type": "string", "enum": list(STATUSES)}, {"type": "string", "maxLength": 32}]}
)
class StatusField(serializers.CharField):
    """One of those known today. A generated client must not fail when there are more."""


class SubscriptionAnswer(serializers.Serializer[Any]):
    """A subscription as its owner sees it."""

    # For the schema only: `shown` makes the JSON.
    id = serializers.UUIDField(help_text="names it in paths")
    user_id = VisibleText(max_length=64, help_text="as it was reported")
    email = MailAddress(
        max_length=254, help_text="as it was reported, or last corrected by a `resend`"
    )
    plan = VisibleText(max_length=64, help_text="as it was reported")
    amount = WholeNumber(min_value=0, help_text="in minor units of the currency")
    currency = CurrencyField(help_text="as it was reported; the list may have changed since")
    language = serializers.CharField(
        allow_null=True,
        max_length=LONGEST_TAG,
        help_text="of the mails to the user; null for the default of the student service",
    )
    order = serializers.UUIDField(
        allow_null=True, help_text="the order that it was recorded with; null without one"
    )
    reference = serializers.CharField(
        allow_null=True, max_length=MAX_REFERENCE, help_text="as it was reported"
    )
    metadata = MetadataAnswer()
    status = StatusField(
        help_text="`pending` until the code arrives, then `active`; `past_due` and `expired` end "
        "with a renewal; `cancelled` and `refunded` are permanent; others may be added",
    )
    reason = serializers.CharField(
        allow_null=True, max_length=300, help_text="of the latest change; null if none was given"
    )
    access_code = serializers.RegexField(
        CODE_OR_MASKED,
        allow_null=True,
        help_text="null until it arrives, and if `access_code_failure` says why; "
        "no longer works once it is revoked. Lists, answers to `resend`, and keys without the "
        "scope `codes:read` get its last four characters only: `****-****-****-H5RN`",
    )
    access_code_failure = AccessCodeFailure(
        allow_null=True, help_text="null unless the code has arrived and cannot be shown"
    )
    problem = Problem(allow_null=True, help_text="null unless the code cannot be issued yet")
    emailed_at = serializers.DateTimeField(
        allow_null=True, help_text="when the mail server last accepted a mail with the code"
    )
    mail_failure = MailFailure(
        allow_null=True, help_text="null unless the mail was given up, or bounced later"
    )
    resend = Resend(
        allow_null=True, help_text="null unless it was requested that the code be mailed again"
    )
    valid_from = serializers.DateTimeField(allow_null=True, help_text="as it was reported")
    valid_until = serializers.DateTimeField(
        allow_null=True, help_text="when the code stops to work; null: never"
    )
    expiring_soon_at = serializers.DateTimeField(
        allow_null=True,
        help_text="when the user was warned by mail that the code expires soon; null unless that "
        "was about this `valid_until`",
    )
    uses = WholeNumber(allow_null=True, help_text="how often it can be redeemed; null: any number")
    uses_made = WholeNumber(help_text="how often it was redeemed")
    redeemed_at = serializers.DateTimeField(allow_null=True, help_text="the latest redemption")
    past_due_at = serializers.DateTimeField(allow_null=True, help_text="null unless past due")
    suspended = serializers.BooleanField(
        help_text="whether the code is suspended: it was past due for too long, or an operator of "
        "the student service has suspended it"
    )
    terms_applied = serializers.BooleanField(
        help_text="whether the student service has confirmed the latest change of validity, uses "
        "or suspension"
    )
    created_at = serializers.DateTimeField(help_text="when it was recorded")
    updated_at = serializers.DateTimeField(
        help_text="when it last changed, also in what is not shown here; see `updated_since`"
    )
    refunded_at = serializers.DateTimeField(allow_null=True, help_text="null unless refunded")
    cancelled_at = serializers.DateTimeField(allow_null=True, help_text="null unless cancelled")
    code_revoked_at = serializers.DateTimeField(
        allow_null=True, help_text="when the code was revoked; null until confirmed"
    )


class SubscriptionPage(serializers.Serializer[Any]):
    """A page of subscriptions."""

    results = SubscriptionAnswer(many=True, help_text="at most `limit`")
    next = openapi.NextPage()


CODE_FAILURE = {"reason": "the code cannot be decrypted here; the code in the mail is the same"}


def shown(subscription: Subscription, *, whole_code: bool = False) -> dict[str, Any]:
    """The subscription as JSON, with its code whole or masked. Never raises."""
    return shown_all([subscription], whole_codes=whole_code)[0]


def shown_all(
    subscriptions: Iterable[Subscription], *, whole_codes: bool = False
) -> list[dict[str, Any]]:
    """The subscriptions as JSON, with codes whole or masked.

    Codes that cannot be decrypted are null, counted and logged.
    """
    answers = [_shown(subscription, whole_codes) for subscription in subscriptions]
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


def _shown(subscription: Subscription, whole_code: bool) -> dict[str, Any]:
    """Without DRF, which takes five times as long."""
    code = subscription.code_or_unreadable
    visible = code if whole_code or not code else MASKED + code[-4:]
    return {
        "id": str(subscription.id),
        **paid_of(subscription),
        "language": subscription.language,
        "order": subscription.order_id and str(subscription.order_id),
        "reference": subscription.reference,
        "metadata": subscription.metadata or {},
        "status": subscription.status,
        "access_code": visible or None,
        "access_code_failure": CODE_FAILURE if code == "" else None,
        "problem": _problem(subscription),
        "emailed_at": as_text(subscription.emailed_at),
        "mail_failure": _mail_failure(subscription),
        "resend": _resend(subscription),
        "reason": subscription.reason or None,
        "valid_from": as_text(subscription.valid_from),
        "valid_until": as_text(subscription.valid_until),
        "expiring_soon_at": as_text(
            subscription.expiring_soon_at if subscription.is_expiring_soon else None
        ),
        "uses": subscription.uses,
        "uses_made": subscription.uses_made,
        "redeemed_at": as_text(subscription.redeemed_at),
        "past_due_at": as_text(subscription.past_due_at),
        "suspended": subscription.suspended_at is not None or subscription.suspended_by_operator,
        "terms_applied": subscription.terms_applied >= subscription.terms_version,
        "refunded_at": as_text(subscription.refunded_at),
        "created_at": as_text(subscription.created_at),
        "updated_at": as_text(subscription.updated_at),
        "cancelled_at": as_text(subscription.cancelled_at),
        "code_revoked_at": as_text(subscription.code_revoked_at),
    }


def _problem(subscription: Subscription) -> dict[str, str | None] | None:
    if subscription.failed_at is None or subscription.access_code is not None:
        return None
    return {"at": as_text(subscription.failed_at), "reason": subscription.failure}


def _mail_failure(subscription: Subscription) -> dict[str, str | None] | None:
    if subscription.mail_failed_at is None:
        return None
    return {"at": as_text(subscription.mail_failed_at), "reason": subscription.mail_failure}


def _resend(subscription: Subscription) -> dict[str, str | None] | None:
    if subscription.resend_requested_at is None:
        return None
    is_answered = subscription.resend_is_answered
    return {
        "requested_at": as_text(subscription.resend_requested_at),
        "answered_at": as_text(subscription.resend_answered_at) if is_answered else None,
        "refused": (subscription.resend_refused or None) if is_answered else None,
    }
