from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class AddIndex(migrations.AddIndex):
    """On PostgreSQL without a lock: the table is large, and the API reads and writes it meanwhile."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            quiet = AddIndexConcurrently(self.model_name, self.index)
            quiet.database_forwards(app_label, schema_editor, *states)
        else:
            super().database_forwards(app_label, schema_editor, *states)


class RemoveIndex(migrations.RemoveIndex):
    """The same."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            quiet = RemoveIndexConcurrently(self.model_name, self.name)
            quiet.database_forwards(app_label, schema_editor, *states)
        else:
            super().database_forwards(app_label, schema_editor, *states)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("subscriptions", "0004_cancellation"),
    ]

    operations = [
        AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(
                    models.Q(("access_code__isnull", True), ("cancelled_at__isnull", True)),
                    models.Q(("cancelled_at__isnull", False), ("code_revoked_at__isnull", True)),
                    _connector="OR",
                ),
                fields=["next_ask_at"],
                name="subscription_unanswered",
            ),
        ),
        RemoveIndex(
            model_name="subscription",
            name="subscription_waiting",
        ),
    ]
