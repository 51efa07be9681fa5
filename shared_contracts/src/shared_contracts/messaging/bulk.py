"""Set-based writes that Django's ORM cannot say, in one place, for SQLite and PostgreSQL alike.

Why not the ORM: `bulk_create(ignore_conflicts=True)` does not tell which rows were new, which is
the whole point of an inbox; and `bulk_update` writes a CASE for each row, slow for hundreds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models, router

SQLITE_PARAMETERS = 32_000
"""SQLite takes 32,766 parameters in a statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""


def insert_new(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    conflict: Sequence[str],
    returning: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Insert `rows` (all with the same fields), skipping those that conflict with a row there.

    `conflict` names the fields of the unique constraint, `returning` those to give back.
    Returns a tuple for each row that was really inserted, in no order.
    Callers sort rows by the conflict fields: two batches in other order would deadlock.
    """
    inserted: list[tuple[Any, ...]] = []
    if not rows:
        return inserted
    connection = connections[router.db_for_write(model)]
    names = list(rows[0])
    fields = [model._meta.get_field(name) for name in names]  # noqa: SLF001 (Django's documented API)
    returned = [model._meta.get_field(name) for name in returning]  # noqa: SLF001
    quote = connection.ops.quote_name
    head = (
        f"INSERT INTO {quote(model._meta.db_table)} "  # noqa: SLF001, S608 (names from the model)
        f"({', '.join(quote(f.column) for f in fields)}) VALUES "
    )
    tail = (
        f" ON CONFLICT ({', '.join(quote(model._meta.get_field(c).column) for c in conflict)})"  # noqa: SLF001
        f" DO NOTHING RETURNING {', '.join(quote(f.column) for f in returned)}"
    )
    one = f"({', '.join(['%s'] * len(fields))})"
    step = SQLITE_PARAMETERS // len(fields)
    with connection.cursor() as cursor:
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            values = [
                field.get_db_prep_save(row[name], connection)
                for row in part
                for name, field in zip(names, fields, strict=True)
            ]
            cursor.execute(head + ", ".join([one] * len(part)) + tail, values)
            inserted.extend(_as_python(row, returned, connection) for row in cursor.fetchall())
    return inserted


def update_from(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str,
    only_where_null: str,
) -> list[Any]:
    """Set the other fields of each row found by `key`, where the field `only_where_null` is null.

    The first writer wins and a repeated write changes nothing.
    Returns the keys of the rows that were changed, in no order.
    """
    if not rows:
        return []
    connection = connections[router.db_for_write(model)]
    names = [key, *(name for name in rows[0] if name != key)]
    fields = [model._meta.get_field(name) for name in names]  # noqa: SLF001
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)  # noqa: SLF001
    # PostgreSQL cannot guess the types of parameters in VALUES; a cast says them, SQLite ignores it.
    if connection.vendor == "postgresql":
        one = f"({', '.join(f'%s::{f.db_type(connection)}' for f in fields)})"
    else:
        one = f"({', '.join(['%s'] * len(fields))})"
    sets = ", ".join(
        f"{quote(f.column)} = given.column{n}" for n, f in enumerate(fields[1:], start=2)
    )
    guard = quote(model._meta.get_field(only_where_null).column)  # noqa: SLF001
    step = SQLITE_PARAMETERS // len(fields)
    changed: list[Any] = []
    with connection.cursor() as cursor:
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            statement = (
                f"UPDATE {table} SET {sets} "  # noqa: S608 (names from the model)
                f"FROM (VALUES {', '.join([one] * len(part))}) AS given "
                f"WHERE {table}.{quote(fields[0].column)} = given.column1 "
                f"AND {table}.{guard} IS NULL RETURNING {table}.{quote(fields[0].column)}"
            )
            values = [
                field.get_db_prep_save(row[name], connection)
                for row in part
                for name, field in zip(names, fields, strict=True)
            ]
            cursor.execute(statement, values)
            changed.extend(_as_python(row, fields[:1], connection)[0] for row in cursor.fetchall())
    return changed


def _as_python(row: Sequence[Any], fields: Sequence[Any], connection: Any) -> tuple[Any, ...]:
    """Database values as the fields' Python values (SQLite stores UUIDs as text)."""
    return tuple(
        field.to_python(value) if value is not None else None
        for value, field in zip(row, fields, strict=True)
    )
