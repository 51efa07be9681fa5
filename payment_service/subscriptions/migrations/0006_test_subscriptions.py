"""What a client recorded with a test key is marked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0005_states_terms_and_reports")]
    operations = [
        migrations.AddField(
            "subscription",
            "test",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="recorded with a test key of its client",
            ),
        ),
    ]
