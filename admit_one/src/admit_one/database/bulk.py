"""Set-based writes that Django's ORM cannot express, for SQLite and PostgreSQL alike.

Why not the ORM: `bulk_create(ignore_conflicts=True)` does not report which rows were new, which is
the whole point of an inbox; `bulk_update` writes a CASE for each row, which is slow for hundreds;
and a placeholder per value costs PostgreSQL and us five times as much as a binary array per column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast
from uuid import UUID

from django.db import connections, models, router

Row = Mapping[str, Any]
Field: TypeAlias = "models.Field[Any, Any]"

NATIVE = {
    "BigIntegerField": int,
    "CharField": str,
    "DateTimeField": datetime,
    "PositiveIntegerField": int,
    "TextField": str,
    "UUIDField": UUID,
}
"""Types that PostgreSQL's driver takes as they are; Django's conversion would cost far more."""

SQLITE_PARAMETERS = 32_000
"""SQLite takes 32,766 parameters in a statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""


def insert(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert `rows` (all with the same fields)."""
    insert_new(model, rows, conflict=(), returning=())


def insert_new(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    conflict: Sequence[str],
    returning: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Insert `rows` (all with the same fields), skipping those that conflict with an existing row.

    `conflict` names the fields of the unique constraint, `returning` those to return.
    Returns a tuple for each inserted row, in no particular order.
    Sort `rows` by the conflict fields: two batches in different orders would deadlock.
    """
    if not rows:
        return []
    names = list(rows[0])
    fields = _fields(model, names)
    returned = _fields(model, returning)
    connection = connections[router.db_for_write(model)]
    table, columns = _table(connection, model), _names(connection, fields)
    tail = ""
    if conflict:
        unique, given_back = (_names(connection, f) for f in (_fields(model, conflict), returned))
        tail = f"ON CONFLICT ({unique}) DO NOTHING RETURNING {given_back}"
    inserted: list[tuple[Any, ...]] = []
    with _cursor(connection) as cursor:
        for given, values in _given(connection, fields, names, rows):
            # Without WHERE, SQLite would read ON as the condition of a join.
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT * FROM {given} WHERE true {tail}",  # noqa: S608 (model's names)
                values,
            )
            if returned:
                inserted.extend(_as_python(row, returned) for row in cursor.fetchall())
    return inserted


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
    names = [key, *(name for name in rows[0] if name != key)]
    fields = _fields(model, names)
    connection = connections[router.db_for_write(model)]
    table, quote = _table(connection, model), connection.ops.quote_name
    found_by = f"{table}.{quote(str(fields[0].column))}"
    returned = [fields[0], *_fields(model, returning)]
    given_back = ", ".join(f"{table}.{quote(str(field.column))}" for field in returned)
    guard = ""
    if only_where_null:
        guarded = _names(connection, _fields(model, [only_where_null]))
        guard = f"AND {table}.{guarded} IS NULL "
    sets = ", ".join(
        f"{quote(str(f.column))} = given.column{n}" for n, f in enumerate(fields[1:], 2)
    )
    changed: list[Any] = []
    with _cursor(connection) as cursor:
        for given, values in _given(connection, fields, names, rows):
            cursor.execute(
                f"UPDATE {table} SET {sets} FROM {given} "  # noqa: S608 (model's names)
                f"WHERE {found_by} = given.column1 {guard}RETURNING {given_back}",
                values,
            )
            changed.extend(_as_python(row, returned) for row in cursor.fetchall())
    return changed if returning else [key for (key,) in changed]


def _given(
    connection: Any, fields: Sequence[Field], names: Sequence[str], rows: Sequence[Row]
) -> Iterator[tuple[str, list[Any]]]:
    """`rows` as tables `given (column1, column2, …)`: SQL and parameters, in few statements."""
    if connection.vendor == "sqlite":
        step = SQLITE_PARAMETERS // len(fields)
        row_of_values = f"({', '.join(['%s'] * len(fields))})"
        for start in range(0, len(rows), step):
            columns = _columns(connection, fields, names, rows[start : start + step])
            values = [value for row in zip(*columns, strict=True) for value in row]
            yield f"(VALUES {', '.join([row_of_values] * len(columns[0]))}) AS given", values
    else:
        columns = _columns(connection, fields, names, rows)
        arrays = ", ".join(map(_array, columns, (field.db_type(connection) for field in fields)))
        aliases = ", ".join(f"column{n}" for n, _ in enumerate(fields, 1))
        yield f"unnest({arrays}) AS given ({aliases})", columns


def _array(values: Sequence[Any], column_type: str | None) -> str:
    # Without the length of a varchar: the cast would silently truncate.
    element = str(column_type).partition("(")[0]
    # A binary array names the type of its elements, which nulls alone do not show.
    form = "%t" if all(value is None for value in values) else "%b"
    return f"{form}::{element}[]"


def _cursor(connection: Any) -> Any:
    """A cursor with Django's errors and query log; on PostgreSQL, the server binds the values."""
    if connection.vendor == "sqlite":
        return connection.cursor()
    connection.ensure_connection()
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    return wrap(connection.Database.Cursor(connection.connection))  # psycopg, if it is in use


def _columns(
    connection: Any, fields: Sequence[Field], names: Sequence[str], rows: Sequence[Row]
) -> list[list[Any]]:
    columns = ([row[name] for row in rows] for name in names)
    return [
        values
        if _is_native(connection, field, values)
        else [field.get_db_prep_save(value, connection) for value in values]
        for field, values in zip(fields, columns, strict=True)
    ]


def _is_native(connection: Any, field: Field, values: Sequence[Any]) -> bool:
    """Whether the driver takes all of `values` as they are."""
    if isinstance(field, models.BinaryField):
        return True  # Django would wrap each value
    own = NATIVE.get(field.get_internal_type())
    return connection.vendor != "sqlite" and {own, type(None)}.issuperset(map(type, values))


def _fields(model: type[models.Model], names: Sequence[str]) -> list[Field]:
    return [cast("Field", model._meta.get_field(name)) for name in names]  # noqa: SLF001


def _table(connection: Any, model: type[models.Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))  # noqa: SLF001


def _names(connection: Any, fields: Sequence[Field]) -> str:
    return ", ".join(connection.ops.quote_name(field.column) for field in fields)


def _as_python(row: Sequence[Any], fields: Sequence[Field]) -> tuple[Any, ...]:
    """Database values as the fields' Python values (SQLite stores UUIDs as text)."""
    return tuple(field.to_python(value) for value, field in zip(row, fields, strict=True))
