"""A subscription knows the language of its user's mails."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0015_an_index_for_ends")]
    operations = [
        migrations.AddField(
            "subscription",
            "language",
            models.CharField(
                help_text="of the user's mails, BCP 47; null for the default",
                max_length=35,
                null=True,
            ),
        ),
    ]
