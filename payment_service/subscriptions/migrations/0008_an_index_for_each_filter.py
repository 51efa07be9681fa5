"""Each filter of the API's list costs the same after a million subscriptions as after none."""

from admit_one.database.changes import AddIndex, RemoveIndex
from django.db import migrations
from django.db.models import Index, Q

OPEN = Q(cancelled_at__isnull=True)
WITH_CODE = Q(access_code__isnull=False, cancelled_at__isnull=True)
STATUSES = {
    "pending": OPEN & Q(access_code__isnull=True),
    "active": WITH_CODE & Q(past_due_at__isnull=True),
    "past_due": WITH_CODE & Q(past_due_at__isnull=False),
    "cancelled": Q(cancelled_at__isnull=False, refunded_at__isnull=True),
    "refunded": Q(refunded_at__isnull=False),
}
ENDING = OPEN & Q(valid_until__isnull=False)

NEWEST, BY_CHANGE = ["-created_at", "-id"], ["updated_at", "id"]


def add(name: str, *fields: str, rows: Q | None = None) -> AddIndex:
    return AddIndex("subscription", Index(fields=["client", *fields], name=name, condition=rows))


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("subscriptions", "0007_updated_at")]
    operations = [
        add("subscription_newest", *NEWEST),
        RemoveIndex("subscription", "subscription_of_client"),
        add("subscription_of_user_id", "user_id", *NEWEST),
        add("subscription_of_email", "email", *NEWEST),
        add("subscription_of_plan", "plan", *NEWEST),
        add("subscription_updated", *BY_CHANGE),
        add("subscription_updated_of_plan", "plan", *BY_CHANGE),
        add("subscription_expired", "-valid_until", "-id", rows=ENDING),
        *(
            add(f"subscription_{status}{of}", *fields, rows=rows)
            for status, rows in STATUSES.items()
            for fields, of in (
                (NEWEST, ""),
                (["plan", *NEWEST], "_of_plan"),
                (BY_CHANGE, "_updated"),
            )
        ),
    ]
