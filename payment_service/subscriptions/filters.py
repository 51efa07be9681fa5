"""The list of the API: which subscriptions a query names, and in which order."""

from __future__ import annotations

import re
from typing import Any

from admit_one.contract import patterns
from admit_one.database import clock
from admit_one.web import MailAddress, Moment, StrictSerializer, VisibleText, paging
from admit_one.web.paging import Order
from django.db.models import F
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request

from .models import STATUSES, Subscription, with_status
from .models.finding import SubscriptionQuerySet
from .own_words import KEY, MAX_KEY, MAX_VALUE, ReferenceField
from .serializers import PlanField

NEWEST_FIRST = Order("created_at", 0)
IN_ORDER_OF_CHANGE = Order("updated_at", 1, newest_first=False)
LAST_EXPIRED_FIRST = Order("valid_until", 2)
NEWEST_FIRST_OF_ENTRY = Order("noted_at", 3)


OTHER_ORDER = "expected none beside updated_since or status=expired, whose order is another"


BESIDE_AN_ENTRY_ONLY = "expected no filter beside it but created_since and created_until"


class Status(serializers.ChoiceField):
    default_error_messages = {"invalid_choice": f"expected {', '.join(STATUSES)}"}  # noqa: RUF012


class OrderId(VisibleText):
    """The id of an order."""

    PATTERN, FORMAT = patterns.UUID_TEXT, "uuid"

    default_error_messages = {"uuid": "expected the id of an order"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(self.PATTERN, text):
            self.fail("uuid")
        return text


class Entry(VisibleText):
    """A key and a value of the metadata."""

    SEEN = patterns.LINE
    PATTERN = f"^{KEY}:{patterns.LINE[1:].removesuffix('+$')}{{1,{MAX_VALUE}}}$"

    default_error_messages = {  # noqa: RUF012
        "entry": "expected a key and its value with a colon between them, such as course:math"
    }

    def to_internal_value(self, data: Any) -> tuple[str, str]:  # type: ignore[override]
        text = super().to_internal_value(data)
        if not re.fullmatch(self.PATTERN, text):
            self.fail("entry")
        key, _, value = text.partition(":")
        return key, value


BESIDE_AN_ENTRY = {"metadata", "created_since", "created_until"}


class SubscriptionFilters(StrictSerializer):
    """The query parameters that choose subscriptions; all that are given must fit."""

    user_id = VisibleText(max_length=64, required=False, help_text="Only of this user.")
    email = MailAddress(
        max_length=254, required=False, help_text="Only with this address, as it was reported."
    )
    plan = PlanField(max_length=64, required=False, help_text="Only of this plan.")
    order = OrderId(required=False, max_length=36, help_text="Only of this order.")
    reference = ReferenceField("Only with this reference.")
    metadata = Entry(
        required=False,
        max_length=MAX_KEY + 1 + MAX_VALUE,
        help_text="Only with this entry in their metadata, such as `course:math`; only with "
        "`created_since` and `created_until` beside it.",
    )
    status = Status(
        choices=list(STATUSES),
        required=False,
        help_text="Only with this status; those that are `expired` come in the order in which they "
        "expired, the last first.",
    )
    created_since = Moment(required=False, help_text="Only those recorded then or later.")
    created_until = Moment(required=False, help_text="Only those recorded before.")
    updated_since = Moment(
        required=False,
        help_text="Only those that changed then or later. They come in the order of their last "
        "change, the oldest first: one that changes while you follow `next` comes again.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Finding in one order what was recorded in a time would take as long as the list is."""
        beside = attrs.keys() & {"created_since", "created_until"}
        if beside and ("updated_since" in attrs or attrs.get("status") == "expired"):
            fault = ErrorDetail(OTHER_ORDER, code="other_order")
            raise serializers.ValidationError({name: [fault] for name in sorted(beside)})
        if "metadata" in attrs and attrs.keys() - BESIDE_AN_ENTRY:
            fault = ErrorDetail(BESIDE_AN_ENTRY_ONLY, code="other_order")
            raise serializers.ValidationError({"metadata": [fault]})
        return attrs


FILTERS = tuple(SubscriptionFilters().fields)
COMPARISONS = {
    "user_id": "user_id",
    "email": "email",
    "plan": "plan",
    "order": "order",
    "reference": "reference",
    "created_since": "created_at__gte",
    "created_until": "created_at__lt",
    "updated_since": "updated_at__gte",
}


def chosen(client: str, request: Request) -> tuple[SubscriptionQuerySet, Order]:
    """The client's subscriptions that the query chooses, and their order.

    Raises 400 for a value that does not fit.
    """
    values = paging.filters_of(request, SubscriptionFilters(), FILTERS)
    rows = Subscription.objects.of(client)
    if "metadata" in values:
        return _with_entry(client, rows, values), NEWEST_FIRST_OF_ENTRY
    status = values.pop("status", None)
    if status is not None:
        rows = rows.filter(with_status(status, timezone.now()))
    rows = rows.filter(**{COMPARISONS[name]: value for name, value in values.items()})
    if "updated_since" not in values:
        return rows, LAST_EXPIRED_FIRST if status == "expired" else NEWEST_FIRST
    # What a transaction under way may still change comes on a later page, not on none.
    return rows.filter(updated_at__lt=clock.changed_before()), IN_ORDER_OF_CHANGE


def _with_entry(
    client: str, rows: SubscriptionQuerySet, values: dict[str, Any]
) -> SubscriptionQuerySet:
    """Those with an entry in their metadata, in the order of the entries' index."""
    key, value = values.pop("metadata")
    times = {f"entries__{COMPARISONS[name]}": moment for name, moment in values.items()}
    entry = {"entries__client": client, "entries__key": key, "entries__value": value}
    return rows.filter(**entry, **times).annotate(noted_at=F("entries__created_at"))
