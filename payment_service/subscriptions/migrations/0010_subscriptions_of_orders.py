"""The subscriptions of an order, its pending ones, and those with a reference have indexes."""

from admit_one.database.changes import AddIndex
from django.db import migrations
from django.db.models import Index, Q

NEWEST, BY_CHANGE = ["-created_at", "-id"], ["updated_at", "id"]


def add(name: str, *fields: str, rows: Q) -> AddIndex:
    return AddIndex("subscription", Index(fields=list(fields), name=name, condition=rows))


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("subscriptions", "0009_orders")]
    operations = [
        add(
            "subscription_of_reference",
            *("client", "reference", *NEWEST),
            rows=Q(reference__isnull=False),
        ),
        add("subscription_of_order", "order", *NEWEST, rows=Q(order__isnull=False)),
        add("subscription_updated_of_order", "order", *BY_CHANGE, rows=Q(order__isnull=False)),
        add(
            "subscription_order_pending",
            "order",
            rows=Q(
                order__isnull=False,
                access_code__isnull=True,
                cancelled_at__isnull=True,
                failed_at__isnull=True,
            ),
        ),
    ]
