"""A run whose checksums are not answered compares each page entry by entry."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0003_grants_may_wait")]
    operations = [
        migrations.AddField(
            "reconciliationrun",
            "by_entry",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="a checksum was not answered; pages are in full",
            ),
        ),
    ]
