"""Each subscription says whether clients have heard that it has expired."""

from admit_one.database.changes import KeepTimeOfChange
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0013_an_index_for_the_drift_of_a_run")]
    operations = [
        migrations.AddField(
            "subscription",
            "end_reported",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="whether it was reported that it has expired",
            ),
        ),
        KeepTimeOfChange("subscription", "updated_at"),  # SQLite has made the table again
    ]
