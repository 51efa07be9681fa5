# ruff: noqa: ARG002 (the operations' signatures are Django's)
"""Migrations: a column for the time of a row's last change, and indexes that stop no writer.

    operations = [
        AddField("invoice", "updated_at", models.DateTimeField(db_default=WrittenNow())),
        KeepTimeOfChange("invoice", "updated_at"),
    ]

A trigger keeps the time, so that every statement does, whoever sends it.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation

from .clock import SQLITE_NOW

# The transaction gets its id before the clock is read; `clock.changed_before` relies on it.
POSTGRESQL = """
    CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_current_xact_id();
        NEW.{column} := greatest(clock_timestamp(), OLD.{column} + interval '1 microsecond');
        RETURN NEW;
    END $$;
    DROP TRIGGER IF EXISTS {name} ON {table};
    CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {name}();
"""

# A row that was read before another change is saved with its old time: that counts as a change.
SQLITE = """
    CREATE TRIGGER IF NOT EXISTS {name} AFTER UPDATE ON {table}
    FOR EACH ROW WHEN NEW.{column} <= OLD.{column}
    BEGIN
        UPDATE {table} SET {column} = max({now}, {later}) WHERE rowid = NEW.rowid;
    END
"""
LATER = SQLITE_NOW.replace("'now'", "OLD.{column}, '+0.001 seconds'")


class KeepTimeOfChange(Operation):
    """Every change of a row raises its `column`.

    SQLite drops the trigger when a later migration makes the table again: repeat it there.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, model_name: str, column: str) -> None:
        self.model_name, self.column = model_name, column

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The models stay as they are."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        names = self._names(to_state.apps.get_model(app_label, self.model_name))
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(POSTGRESQL.format(**names))
            return
        later = LATER.format(**names)
        trigger = SQLITE.format(**names, now=SQLITE_NOW, later=later)
        schema_editor.execute(trigger, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        names = self._names(from_state.apps.get_model(app_label, self.model_name))
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute("DROP FUNCTION IF EXISTS {name} CASCADE".format(**names))
        else:
            schema_editor.execute("DROP TRIGGER IF EXISTS {name}".format(**names))

    def describe(self) -> str:
        return f"Keep the time of each change of {self.model_name} in {self.column}"

    def _names(self, model: Any) -> dict[str, str]:
        table = model._meta.db_table  # noqa: SLF001
        return {"table": table, "column": self.column, "name": f"{table}_{self.column}"}


class AddIndex(migrations.AddIndex):
    """Adds an index while others write. For migrations with `atomic = False`.

    It may be repeated: what an earlier try has left behind is finished, or made again.
    """

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        _drop_half_made(schema_editor, self.index.name)
        if not _exists(schema_editor, model, self.index.name):
            with _Patient(schema_editor) as options:
                schema_editor.add_index(model, self.index, **options)


class RemoveIndex(migrations.RemoveIndex):
    """Removes an index while others write. For migrations with `atomic = False`."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        state = from_state.models[app_label, self.model_name_lower]
        if _exists(schema_editor, model, self.name):
            with _Patient(schema_editor) as options:
                schema_editor.remove_index(model, state.get_index_by_name(self.name), **options)


class _Patient:
    """Waits for the transactions under way, however long; on PostgreSQL only."""

    def __init__(self, schema_editor: Any) -> None:
        self._schema_editor = schema_editor
        self._before = ""

    def __enter__(self) -> dict[str, bool]:
        if self._schema_editor.connection.vendor != "postgresql":
            return {}
        with self._schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            [self._before] = cursor.fetchone()
            cursor.execute("SET lock_timeout = 0")
        return {"concurrently": True}

    def __exit__(self, *_: object) -> None:
        if self._before:
            with self._schema_editor.connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [self._before])


def _exists(schema_editor: Any, model: Any, name: str) -> bool:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        table = model._meta.db_table  # noqa: SLF001
        return name in connection.introspection.get_constraints(cursor, table)


def _drop_half_made(schema_editor: Any, name: str) -> None:
    """Drop the index if an earlier try, cut short, has left it without all rows."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid", [name]
        )
        half_made = cursor.fetchone()
    if half_made:
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
