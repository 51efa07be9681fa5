"""Codes that expire soon, and mails that are withheld, are found whatever else there is."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("access_codes", "0006_resends_reminders_and_tests")]
    operations = [
        AddIndex(
            "terms",
            models.Index(
                fields=["valid_until"],
                name="terms_expiring",
                condition=models.Q(valid_until__isnull=False, expiry_noted=False),
            ),
        ),
        AddIndex(
            "mailintent",
            models.Index(
                fields=["id"],
                name="mail_intent_withheld",
                condition=models.Q(state="withheld"),
            ),
        ),
    ]
