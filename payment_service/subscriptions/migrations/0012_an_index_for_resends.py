"""Requests to mail a code again that wait for an answer are found whatever else there is."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("subscriptions", "0011_resends_and_reminders")]
    operations = [
        AddIndex(
            "subscription",
            models.Index(
                fields=["resend_next_at"],
                name="subscription_resend",
                condition=models.Q(resend_next_at__isnull=False),
            ),
        ),
    ]
