"""The latest runs, and the drift of one subscription, are found without a look at all others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_initial")]
    operations = [
        migrations.AddIndex(
            "reconciliationrun", models.Index(fields=["started_at"], name="reconciliation_started")
        ),
        migrations.AddIndex(
            "drift", models.Index(fields=["subscription_id"], name="drift_of_subscription")
        ),
    ]
