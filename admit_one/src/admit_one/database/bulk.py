"""Set-based writes that Django's ORM cannot express, for SQLite and PostgreSQL alike.

Why not the ORM: `bulk_create(ignore_conflicts=True)` does not report which rows were new, which is
the whole point of an inbox; `bulk_update` writes a CASE for each row, which is slow for hundreds;
and both send a placeholder for each value (see `columns`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db import connections, models, router

from . import prepared
from .columns import Columns, Row, as_tables, columns_of


def insert(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    returning: Sequence[str] = (),
    then: Callable[[tuple[Any, ...]], None] | None = None,
) -> None:
    """Insert `rows` (all with the same fields). In `together.transaction`, a single one later.

    `then` is called with the fields `returning` of each row that was inserted; it must not raise.
    """
    if not rows:
        return
    connection: Any = connections[router.db_for_write(model)]
    columns, returned = (
        columns_of(connection.alias, model, tuple(n)) for n in (rows[0], returning)
    )
    tail = f" RETURNING {returned.listed}" if then is not None else ""

    def and_then(row: Sequence[Any]) -> None:
        if then is not None:
            then(returned.as_python(row))

    writes = connection.writes if connection.vendor == "postgresql" and len(rows) == 1 else None
    if writes is not None:
        [(given, values)] = as_tables(connection, columns, rows)
        writes.insert(
            lambda condition: f"{_insertion(columns, given, condition)}{tail}",
            values,
            and_then if tail else None,
        )
        return
    with prepared.cursor(connection.alias) as cursor:
        for given, values in as_tables(connection, columns, rows):
            cursor.execute(f"{_insertion(columns, given)}{tail}", values)
            for row in cursor.fetchall() if tail else ():
                and_then(row)


def insert_new(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    conflict: Sequence[str],
    returning: Sequence[str],
    also: str = "",
) -> list[tuple[Any, ...]]:
    """Insert `rows` (all with the same fields), skipping those that conflict with an existing row.

    `conflict` names the fields of the unique constraint, `returning` those to return; `also` is
    an expression in SQL whose value follows them.
    Returns a tuple for each inserted row, in no particular order.
    Sort `rows` by the conflict fields: two batches in different orders would deadlock.
    """
    if not rows:
        return []
    connection = connections[router.db_for_write(model)]
    columns, returned = (
        columns_of(connection.alias, model, tuple(n)) for n in (rows[0], returning)
    )
    tail = ""
    if conflict:
        unique = columns_of(connection.alias, model, tuple(conflict))
        tail = f"ON CONFLICT ({unique.listed}) DO NOTHING RETURNING {returned.listed}"
        tail += f", {also}" if also else ""
    inserted: list[tuple[Any, ...]] = []
    known = len(returning)
    with prepared.cursor(connection.alias) as cursor:
        for given, values in as_tables(connection, columns, rows):
            cursor.execute(f"{_insertion(columns, given)} {tail}", values)
            if returning:
                inserted.extend(
                    (*returned.as_python(row[:known]), *row[known:]) for row in cursor.fetchall()
                )
    return inserted


def _insertion(columns: Columns, given: str, condition: str = "true") -> str:
    # Without WHERE, SQLite would read ON as the condition of a join.
    return (
        f"INSERT INTO {columns.table} ({columns.listed}) "  # noqa: S608 (model's names)
        f"SELECT * FROM {given} WHERE {condition}"
    )


def update_from(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    key: str,
    only_where_null: str = "",
    returning: Sequence[str] = (),
) -> list[Any]:
    """Set the other fields of each row found by `key`.

    With `only_where_null`, the name of a field, only where that field is null: the first writer
    wins and a repeated write changes nothing.
    Returns the keys of the rows that were changed, in no particular order; with `returning`, the
    names of fields, a tuple of each key and these.
    """
    if not rows:
        return []
    connection = connections[router.db_for_write(model)]
    names = key, *(name for name in rows[0] if name != key)
    columns = columns_of(connection.alias, model, names)
    returned = columns_of(connection.alias, model, (key, *returning))
    table = columns.table
    given_back = ", ".join(f"{table}.{name}" for name in returned.quoted)
    guard = ""
    if only_where_null:
        [guarded] = columns_of(connection.alias, model, (only_where_null,)).quoted
        guard = f"AND {table}.{guarded} IS NULL "
    found_by, *others = columns.quoted
    sets = ", ".join(f"{name} = given.column{n}" for n, name in enumerate(others, 2))
    changed: list[Any] = []
    with prepared.cursor(connection.alias) as cursor:
        for given, values in as_tables(connection, columns, rows):
            cursor.execute(
                f"UPDATE {table} SET {sets} FROM {given} "  # noqa: S608 (model's names)
                f"WHERE {table}.{found_by} = given.column1 {guard}RETURNING {given_back}",
                values,
            )
            changed.extend(returned.as_python(row) for row in cursor.fetchall())
    return changed if returning else [key for (key,) in changed]


def existing(model: type[models.Model], keys: Collection[Any]) -> set[Any]:
    """Which of these primary keys have a row."""
    connection = connections[router.db_for_read(model)]
    if connection.vendor == "sqlite":
        rows = model._default_manager.filter(pk__in=keys)  # noqa: SLF001
        return set(rows.values_list("pk", flat=True))
    column = columns_of(connection.alias, model, (str(model._meta.pk.name),))  # noqa: SLF001
    [name], [element] = column.quoted, column.types
    with prepared.cursor(connection.alias) as cursor:
        cursor.execute(
            f"SELECT {name} FROM {column.table} WHERE {name} = ANY(%b::{element}[])",  # noqa: S608 (model's names)
            [list(keys)],
        )
        return {value for row in cursor.fetchall() for value in column.as_python(row)}
