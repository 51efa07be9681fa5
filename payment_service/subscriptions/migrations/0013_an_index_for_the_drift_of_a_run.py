"""The first differences of a run are found without reading those of all runs."""

from admit_one.database.changes import AddIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [("subscriptions", "0012_an_index_for_resends")]
    operations = [
        AddIndex("drift", models.Index(fields=["run", "id"], name="drift_of_run_listed")),
    ]
