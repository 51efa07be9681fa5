"""Codes that have expired are found whatever else there is."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("access_codes", "0008_ends_are_reported")]
    operations = [
        AddIndex(
            "terms",
            models.Index(
                fields=["valid_until"],
                name="terms_ending",
                condition=models.Q(valid_until__isnull=False, end_reported=False),
            ),
        ),
    ]
