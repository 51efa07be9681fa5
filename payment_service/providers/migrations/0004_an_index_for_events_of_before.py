"""Open events of before are found whatever else there is, until it is noted whom they name."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("providers", "0003_whom_open_events_name")]
    operations = [
        AddIndex(
            "providerevent",
            models.Index(
                fields=["id"],
                name="provider_event_unnoted",
                condition=models.Q(
                    persons_noted=False, handled_at__isnull=True, body__isnull=False
                ),
            ),
        ),
    ]
