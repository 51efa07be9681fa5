"""The list of orders: which of them a query names."""

from __future__ import annotations

from admit_one.web import Moment, StrictSerializer, paging
from django.db.models import QuerySet
from rest_framework.request import Request

from subscriptions.models import Order
from subscriptions.own_words import ReferenceField


class OrderFilters(StrictSerializer):
    """The query parameters that choose orders; all that are given must fit."""

    reference = ReferenceField("Only with this reference.")
    created_since = Moment(required=False, help_text="Only those recorded then or later.")
    created_until = Moment(required=False, help_text="Only those recorded before.")


COMPARISONS = {
    "reference": "reference",
    "created_since": "created_at__gte",
    "created_until": "created_at__lt",
}


def chosen(client: str, request: Request) -> QuerySet[Order]:
    """The client's orders that the query chooses. Raises 400 for a value that does not fit."""
    values = paging.filters_of(request, OrderFilters(), COMPARISONS)
    return Order.objects.of(client).filter(
        **{COMPARISONS[name]: value for name, value in values.items()}
    )
