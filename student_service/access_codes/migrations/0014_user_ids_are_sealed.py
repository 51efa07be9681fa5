"""The user ids that were in clear are sealed, in batches; stopped, it goes on where it was."""

from typing import Any

from admit_one.database.changes import AddIndex
from django.db import migrations, models, transaction

from access_codes.models.sealing_users import seal_some


def seal(apps: Any, schema_editor: Any) -> None:
    codes = apps.get_model("access_codes", "AccessCode")
    more = True
    while more:
        with transaction.atomic():
            more = seal_some(codes)


class Migration(migrations.Migration):
    atomic = False  # writers go on meanwhile
    dependencies = [
        ("access_codes", "0013_columns_of_sealed_user_ids"),
        ("sealing", "0002_key_holders"),
    ]
    operations = [
        migrations.RunPython(seal, migrations.RunPython.noop, elidable=True),
        AddIndex(
            "accesscode",
            models.Index(fields=["user_hash", "subscription_id"], name="access_code_user_hash"),
        ),
        AddIndex(
            "accesscode",
            models.Index(
                condition=models.Q(("user_hash_next__isnull", False)),
                fields=["user_hash_next", "subscription_id"],
                name="access_code_user_hash_next",
            ),
        ),
    ]
