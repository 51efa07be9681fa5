"""Set-based writes that Django's ORM cannot say, in one place, for SQLite and PostgreSQL alike.

Why not the ORM: `bulk_create(ignore_conflicts=True)` does not tell which rows were new, which is
the whole point of an inbox; `bulk_update` writes a CASE for each row, slow for hundreds; and a
placeholder for each value costs a third of a consumer's time on PostgreSQL, where one JSON
document for all rows does the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast
from uuid import UUID

from django.db import connections, models, router

Row = Mapping[str, Any]
Field: TypeAlias = "models.Field[Any, Any]"

SQLITE_PARAMETERS = 32_000
"""SQLite takes 32,766 parameters in a statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""


def insert(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert `rows` (all with the same fields)."""
    _insert(model, rows, conflict=(), returning=())


def insert_new(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    conflict: Sequence[str],
    returning: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Insert `rows` (all with the same fields), skipping those that conflict with a row there.

    `conflict` names the fields of the unique constraint, `returning` those to give back.
    Returns a tuple for each row that was really inserted, in no order.
    Callers sort rows by the conflict fields: two batches in other order would deadlock.
    """
    return _insert(model, rows, conflict=conflict, returning=returning)


def update_from(
    model: type[models.Model], rows: Sequence[Row], *, key: str, only_where_null: str
) -> list[Any]:
    """Set the other fields of each row found by `key`, where the field `only_where_null` is null.

    The first writer wins and a repeated write changes nothing.
    Returns the keys of the rows that were changed, in no order.
    """
    if not rows:
        return []
    names = [key, *(name for name in rows[0] if name != key)]
    fields = _fields(model, names)
    connection = connections[router.db_for_write(model)]
    table, quote = _table(connection, model), connection.ops.quote_name
    found_by = f"{table}.{quote(str(fields[0].column))}"
    guard = f"{table}.{_names(connection, _fields(model, [only_where_null]))}"
    sets = ", ".join(
        f"{quote(str(f.column))} = given.column{n}" for n, f in enumerate(fields[1:], 2)
    )
    changed: list[Any] = []
    with connection.cursor() as cursor:
        for given, values in _given(connection, fields, names, rows):
            cursor.execute(
                f"UPDATE {table} SET {sets} FROM {given} "  # noqa: S608 (model's names)
                f"WHERE {found_by} = given.column1 AND {guard} IS NULL RETURNING {found_by}",
                values,
            )
            changed.extend(_as_python(found, fields[:1])[0] for found in cursor.fetchall())
    return changed


def _insert(
    model: type[models.Model],
    rows: Sequence[Row],
    *,
    conflict: Sequence[str],
    returning: Sequence[str],
) -> list[tuple[Any, ...]]:
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
    with connection.cursor() as cursor:
        for given, values in _given(connection, fields, names, rows):
            # WHERE true: SQLite would else take ON for the condition of a join.
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT * FROM {given} WHERE true {tail}",  # noqa: S608 (model's names)
                values,
            )
            if returned:
                inserted.extend(_as_python(found, returned) for found in cursor.fetchall())
    return inserted


def _given(
    connection: Any, fields: Sequence[Field], names: Sequence[str], rows: Sequence[Row]
) -> Iterator[tuple[str, list[Any]]]:
    """`rows` as a table `given (column1, column2, …)`: its SQL and parameters, in few parts."""
    if connection.vendor == "sqlite":
        step = SQLITE_PARAMETERS // len(fields)
        one = f"({', '.join(['%s'] * len(fields))})"
        for start in range(0, len(rows), step):
            columns = _columns(connection, fields, names, rows[start : start + step])
            values = [value for row in zip(*columns, strict=True) for value in row]
            yield f"(VALUES {', '.join([one] * len(columns[0]))}) AS given", values
    else:
        # Without the length of a varchar: a cast would cut silently what is too long.
        types = [str(field.db_type(connection)).partition("(")[0] for field in fields]
        cells = ", ".join(f"(cell->>{n})::{t} AS column{n + 1}" for n, t in enumerate(types))
        columns = _columns(connection, fields, names, rows)
        document = json.dumps(list(zip(*columns, strict=True)), default=_as_text)
        yield (
            f"(SELECT {cells} FROM json_array_elements(%s::json) AS cell) AS given",  # noqa: S608 (types)
            [document],
        )


def _as_text(value: Any) -> str:
    """What JSON has no word for, as PostgreSQL reads it from a text."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, UUID | datetime):
        return str(value)
    raise TypeError(f"expected a value of a simple field, got {type(value).__name__}")


def _columns(
    connection: Any, fields: Sequence[Field], names: Sequence[str], rows: Sequence[Row]
) -> list[list[Any]]:
    # Bytes go as they are, and on PostgreSQL JSON inside JSON too; Django would wrap each.
    document = models.JSONField if connection.vendor == "postgresql" else ()
    return [
        [row[name] for row in rows]
        if isinstance(field, (models.BinaryField, document))
        else [field.get_db_prep_save(row[name], connection) for row in rows]
        for name, field in zip(names, fields, strict=True)
    ]


def _fields(model: type[models.Model], names: Sequence[str]) -> list[Field]:
    return [cast("Field", model._meta.get_field(name)) for name in names]  # noqa: SLF001


def _table(connection: Any, model: type[models.Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))  # noqa: SLF001


def _names(connection: Any, fields: Sequence[Field]) -> str:
    return ", ".join(connection.ops.quote_name(field.column) for field in fields)


def _as_python(row: Sequence[Any], fields: Sequence[Field]) -> tuple[Any, ...]:
    """Database values as the fields' Python values (SQLite stores UUIDs as text)."""
    return tuple(field.to_python(value) for value, field in zip(row, fields, strict=True))
