"""The mails that failed, or are in doubt, are listed without a look at all that were sent."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access_codes", "0001_initial")]
    operations = [
        migrations.AddIndex(
            "mailintent",
            models.Index(
                fields=["state", "id"],
                name="mail_intent_not_sent",
                condition=models.Q(("state__in", ["unknown", "failed", "suppressed", "withdrawn"])),
            ),
        ),
    ]
