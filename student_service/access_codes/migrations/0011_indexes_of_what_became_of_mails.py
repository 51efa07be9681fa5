"""Mails that stop others, and mails by their provider's id, are found whatever else there is."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("access_codes", "0010_languages_and_what_became_of_mails")]
    operations = [
        AddIndex(
            "mailintent",
            models.Index(
                fields=["recipient_hash"],
                name="mail_intent_stops",
                condition=models.Q(
                    lifted_at__isnull=True, reported__in=["bounced", "complained"]
                ),
            ),
        ),
        AddIndex(
            "mailintent",
            models.Index(
                fields=["provider_id"],
                name="mail_intent_provider",
                condition=~models.Q(provider_id=""),
            ),
        ),
    ]
