"""Every change of a subscription raises its updated_at. Rows from before count as changed now."""

from admit_one.database.changes import KeepTimeOfChange
from admit_one.database.clock import WrittenNow
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0006_test_subscriptions")]
    operations = [
        migrations.AddField(
            "subscription",
            "updated_at",
            models.DateTimeField(
                db_default=WrittenNow(),
                editable=False,
                help_text="of the last change, kept by a trigger",
            ),
        ),
        KeepTimeOfChange("subscription", "updated_at"),
    ]
