"""Codes as operators and their programs see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from admit_one.logs import EventLogger
from admit_one.sealing import cipher
from admit_one.web import MailAddress, StrictSerializer, VisibleText, openapi
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from access_codes import metrics
from access_codes.admission import uses_left
from access_codes.listing import LISTED, State, state_of
from access_codes.mails import stops
from access_codes.mails.stops import Stop
from access_codes.models import AccessCode, access_id

from .questions import as_text

if TYPE_CHECKING:
    from access_codes.looking_up import Checked

logger = EventLogger(__name__)

CODE_FAILURE = {"reason": "the code cannot be decrypted here; the code in the mail is the same"}


class CodeFailure(serializers.Serializer[Any]):
    """The code cannot be shown. Neither the code nor its mail is affected."""

    reason = serializers.CharField(help_text="human-readable")


@extend_schema_field({"type": "string", "minLength": 19, "maxLength": 19})
class ShownCode(serializers.CharField):
    """A code, or the end of one."""


class MailStop(serializers.Serializer[Any]):
    """No more mails go to the mailbox where the latest one went. The code is not affected."""

    why = serializers.ChoiceField(
        choices=[*stops.WHY],
        help_text="`bounced`: there is no such mailbox; `complained`: its user reported a mail as "
        "spam",
    )
    since = serializers.DateTimeField(help_text="when that was reported")


class AccessCodeAnswer(serializers.Serializer[Any]):
    """An access code."""

    # For the schema only: `shown` makes the JSON.
    access_id = serializers.CharField(help_text="names the code, and shows nothing of it")
    subscription_id = serializers.UUIDField(help_text="what was paid")
    access_code = ShownCode(
        allow_null=True,
        help_text="whole if one code is asked for, else its last four characters, such as "
        "`****-****-****-H5RN`; null if it was replaced, and if `access_code_failure` says why",
    )
    access_code_failure = CodeFailure(allow_null=True, help_text="null unless it cannot be shown")
    user_id = VisibleText(max_length=64, help_text="whom it was issued for")
    plan = VisibleText(max_length=64, help_text="what was paid for")
    state = serializers.ChoiceField(
        choices=[state.value for state in State],
        help_text="`issued` lets in; of several others, the first of "
        + ", ".join(state.value for state in State if state is not State.ISSUED),
    )
    replaced_by = serializers.CharField(
        allow_null=True, help_text="the `access_id` of the code that works now; null if this does"
    )
    uses = serializers.IntegerField(min_value=0, help_text="how often it was redeemed")
    uses_left = serializers.IntegerField(
        allow_null=True, min_value=0, help_text="how often it still may be; null: any number"
    )
    valid_from = serializers.DateTimeField(allow_null=True, help_text="null: from the beginning")
    valid_until = serializers.DateTimeField(
        allow_null=True, help_text="exclusive; null: without an end"
    )
    issued_at = serializers.DateTimeField(allow_null=True, help_text="null if it was replaced")
    revoked_at = serializers.DateTimeField(allow_null=True, help_text="null unless revoked")
    mail_stopped = MailStop(allow_null=True, help_text="null while its user can be written to")


class StateField(serializers.ChoiceField):
    default_error_messages = {"invalid_choice": f"expected one of {', '.join(LISTED)}"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> State:
        return State(super().to_internal_value(data))


class CodeFilters(StrictSerializer):
    """The query parameters that choose codes; all that are given must fit."""

    user_id = VisibleText(
        max_length=64, required=False, help_text="Only codes that were issued for this user."
    )
    plan = VisibleText(
        max_length=64, required=False, help_text="Only codes that were paid for this plan."
    )
    state = StateField(
        choices=[state.value for state in LISTED],
        required=False,
        help_text="Only codes in this state.",
    )
    email = MailAddress(
        max_length=254,
        required=False,
        help_text="Only codes that were mailed to this mailbox, however it is spelt.",
    )


code_filters = CodeFilters()


class AccessCodePage(serializers.Serializer[Any]):
    """A page of codes, the newest first."""

    results = AccessCodeAnswer(
        many=True, help_text="at most `limit`; with a filter perhaps fewer, or none at all"
    )
    next = openapi.NextPage()


UNREADABLE = "unreadable"
"""A user whose key is gone."""


def masked(code: str) -> str:
    """A code of which only the last four characters are shown."""
    return f"****-****-****-{code[-4:]}"


def in_clear(code: str) -> str:
    return code


def shown(row: Checked, generation: int, show: Callable[[str], str] = masked) -> dict[str, Any]:
    """The code of this generation as JSON. Never raises."""
    return _noted([_shown(row, generation, show, stops.of_codes([row.pk]))])[0]


def shown_all(rows: Iterable[Checked]) -> list[dict[str, Any]]:
    """Codes as JSON, masked. Those that cannot be decrypted are null, counted and logged."""
    codes = list(rows)
    stopped = stops.of_codes(row.pk for row in codes)
    return _noted([_shown(row, row.generation, masked, stopped) for row in codes])


def _shown(
    row: Checked, generation: int, show: Callable[[str], str], stopped: Mapping[UUID, Stop]
) -> dict[str, Any]:
    is_current = generation == row.generation
    code = _readable(row) if is_current else None
    terms = row.terms if row.has_terms else None
    return {
        "access_id": access_id(row.pk, generation),
        "subscription_id": str(row.subscription_id),
        "access_code": show(code) if code else None,
        "access_code_failure": CODE_FAILURE if code == "" else None,
        "user_id": row.readable_user_id or UNREADABLE,
        "plan": row.plan,
        "state": (state_of(row) if is_current else State.REPLACED).value,
        "replaced_by": None if is_current else row.access_id,
        "uses": row.uses,
        "uses_left": uses_left(row),
        "valid_from": as_text(terms.valid_from) if terms else None,
        "valid_until": as_text(terms.valid_until) if terms else None,
        "issued_at": as_text(row.issued_at) if is_current else None,
        "revoked_at": as_text(row.revocation.revoked_at) if row.is_revoked else None,
        "mail_stopped": _stop(stopped.get(row.pk)),
    }


def _stop(stop: Stop | None) -> dict[str, str | None] | None:
    return None if stop is None else {"why": stop.why, "since": as_text(stop.since)}


def _readable(row: AccessCode) -> str:
    """The code; empty if it cannot be decrypted."""
    try:
        return row.code
    except cipher.Unsealable:
        return ""


def _noted(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    failed = [answer["access_id"] for answer in answers if answer["access_code_failure"]]
    if failed:
        metrics.UNREADABLE_CODES.inc(len(failed))
        logger.error(
            "code_does_not_open",
            "the API cannot show {codes} codes, because they cannot be unsealed, such as {code}",
            codes=len(failed),
            code=failed[0],
        )
    return answers
