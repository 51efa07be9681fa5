"""Subscriptions that have expired are found whatever else there is."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("subscriptions", "0014_ends_are_reported")]
    operations = [
        AddIndex(
            "subscription",
            models.Index(
                fields=["valid_until"],
                name="subscription_ending",
                condition=models.Q(
                    valid_until__isnull=False, end_reported=False, cancelled_at__isnull=True
                ),
            ),
        ),
    ]
