"""Whether a code lets in, as JSON: the question of a platform, and the answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from admit_one.web import StrictSerializer, VisibleText
from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers

from access_codes.admission import TELLS_NOTHING, Admission, Reason, uses_left

from .fields import TypedCode, UserIdField

MEANINGS = {
    Reason.OK: "it lets in",
    Reason.MALFORMED: "it cannot be a code: a typing error",
    Reason.UNKNOWN: "there is no such code",
    Reason.REPLACED: "another code was issued in its place",
    Reason.REVOKED: "it lets in nobody any more, for good",
    Reason.OTHER_USER: "it was issued for another user than `user_id`",
    Reason.OTHER_PLAN: "it was issued for another plan than `plan`",
    Reason.SUSPENDED: "it lets in nobody until that is lifted",
    Reason.NOT_YET_VALID: "it lets in from a later time",
    Reason.EXPIRED: "it let in until `valid_until`",
    Reason.USED_UP: "it was redeemed as often as it may be",
}
"""What each reason means to a client."""


class ValidateQuestion(StrictSerializer):
    """A code that somebody has typed, and what it is to let them in to."""

    code = TypedCode()
    user_id = UserIdField(
        max_length=64, required=False, help_text="lets in only whom the code was issued for"
    )
    plan = VisibleText(
        max_length=64, required=False, help_text="lets in only with a code that was paid for it"
    )


class RedeemQuestion(ValidateQuestion):
    """The same, to be counted as a use."""

    reference = VisibleText(
        max_length=255,
        required=False,
        help_text="your own name of this use, not the code: the same one again is the same use",
    )


validate_question, redeem_question = ValidateQuestion(), RedeemQuestion()
"""Shared by all requests: building their fields costs more than validating a request."""


class AdmissionAnswer(serializers.Serializer[Any]):
    """Whether a code lets in. If the code may be another person's, only the reason is shown."""

    # For the schema only: `answered` makes the JSON.
    valid = serializers.BooleanField(help_text="whether it lets in: `reason` is `ok`")
    reason = serializers.ChoiceField(
        choices=[reason.value for reason in Reason],
        help_text="; ".join(f"`{reason}`: {meaning}" for reason, meaning in MEANINGS.items())
        + ". Of several, the first of malformed, unknown, replaced, revoked, other_user, "
        "other_plan, suspended, not_yet_valid, expired and used_up.",
    )
    access_id = serializers.CharField(
        allow_null=True, help_text="names the code, and shows nothing of it: keep this one"
    )
    subscription_id = serializers.UUIDField(allow_null=True, help_text="what was paid")
    plan = VisibleText(allow_null=True, max_length=64, help_text="what the code lets in to")
    user_id = VisibleText(allow_null=True, max_length=64, help_text="whom it was issued for")
    uses = serializers.IntegerField(
        allow_null=True, min_value=0, help_text="how often it was redeemed"
    )
    uses_left = serializers.IntegerField(
        allow_null=True, min_value=0, help_text="how often it still may be; null: any number"
    )
    valid_until = serializers.DateTimeField(
        allow_null=True, help_text="it lets in until before then; null: without an end"
    )


NOTHING = dict.fromkeys(AdmissionAnswer().fields)


def answered(admission: Admission) -> dict[str, Any]:
    """The answer as JSON."""
    reason, row = admission
    answer: dict[str, Any] = {**NOTHING, "valid": admission.is_valid, "reason": reason.value}
    if row is None or reason in TELLS_NOTHING:
        return answer
    return answer | {
        "access_id": row.access_id,
        "subscription_id": str(row.subscription_id),
        "plan": row.plan,
        "user_id": row.readable_user_id,
        "uses": row.uses,
        "uses_left": uses_left(row),
        "valid_until": as_text(row.terms.valid_until) if row.has_terms else None,
    }


def as_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _example(reason: Reason) -> OpenApiExample:
    value: dict[str, Any] = {**NOTHING, "valid": reason == Reason.OK, "reason": reason.value}
    if reason not in TELLS_NOTHING:
        used = 1 if reason == Reason.USED_UP else 0
        value |= {
            "access_id": "0199aa00-0000-7000-8000-000000000001.1",
            "subscription_id": "0199aa00-0000-7000-8000-000000000001",
            "plan": "gold",
            "user_id": "user-42",
            "uses": used,
            "uses_left": 1 - used,
            "valid_until": "2027-01-01T00:00:00Z",
        }
    return OpenApiExample(reason.value, value, summary=MEANINGS[reason], response_only=True)


EXAMPLES = [_example(reason) for reason in MEANINGS]
"""An answer for each reason."""

HOLDS = [
    Reason.OK, Reason.REPLACED, Reason.REVOKED, Reason.SUSPENDED, Reason.NOT_YET_VALID,
    Reason.EXPIRED,
]  # fmt: skip
"""The reasons for which an admission holds, or does not."""
