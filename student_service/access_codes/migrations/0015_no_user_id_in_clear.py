"""User ids in clear are no longer kept."""

from typing import Any

from django.db import migrations

from access_codes.models.sealing_users import seal_some


def seal_rest(apps: Any, schema_editor: Any) -> None:
    """What a process of the release before has written since; nobody writes meanwhile."""
    codes = apps.get_model("access_codes", "AccessCode")
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("LOCK TABLE access_codes_accesscode IN ACCESS EXCLUSIVE MODE")
    while seal_some(codes):
        pass


class Migration(migrations.Migration):
    dependencies = [("access_codes", "0014_user_ids_are_sealed")]
    operations = [
        migrations.RunPython(seal_rest, migrations.RunPython.noop, elidable=True),
        migrations.RemoveIndex("accesscode", "access_code_user"),
        migrations.RemoveField("accesscode", "user_id"),
    ]
