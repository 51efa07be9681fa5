"""Set-based writes that Django's ORM cannot say, in one place, for SQLite and PostgreSQL alike.

Why not the ORM: `bulk_create(ignore_conflicts=True)` does not tell which rows were new, which is
the whole point of an inbox; and `bulk_update` writes a CASE for each row, slow for hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from django.db import connections, models, router

Row = Mapping[str, Any]
Field: TypeAlias = "models.Field[Any, Any]"

SQLITE_PARAMETERS = 32_000
"""SQLite takes 32,766 parameters in a statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""


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
    if not rows:
        return []
    names = list(rows[0])
    fields = _fields(model, names)
    returned = _fields(model, returning)
    connection = connections[router.db_for_write(model)]
    columns = _names(connection, fields)
    unique, given_back = _names(connection, _fields(model, conflict)), _names(connection, returned)
    one = f"({', '.join(['%s'] * len(fields))})"
    inserted: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for part in _parts(rows, len(fields)):
            cursor.execute(
                f"INSERT INTO {_table(connection, model)} ({columns}) "  # noqa: S608 (model's names)
                f"VALUES {', '.join([one] * len(part))} "
                f"ON CONFLICT ({unique}) DO NOTHING RETURNING {given_back}",
                _values(connection, part, names, fields),
            )
            inserted.extend(_as_python(found, returned) for found in cursor.fetchall())
    return inserted


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
    # PostgreSQL cannot guess the types of parameters in VALUES: a cast says them.
    casts = [f"::{f.db_type(connection)}" for f in fields]
    if connection.vendor == "sqlite":
        casts = [""] * len(fields)
    one = f"({', '.join('%s' + cast for cast in casts)})"
    changed: list[Any] = []
    with connection.cursor() as cursor:
        for part in _parts(rows, len(fields)):
            cursor.execute(
                f"UPDATE {table} SET {sets} "  # noqa: S608 (model's names)
                f"FROM (VALUES {', '.join([one] * len(part))}) AS given "
                f"WHERE {found_by} = given.column1 AND {guard} IS NULL RETURNING {found_by}",
                _values(connection, part, names, fields),
            )
            changed.extend(_as_python(found, fields[:1])[0] for found in cursor.fetchall())
    return changed


def _fields(model: type[models.Model], names: Sequence[str]) -> list[Field]:
    return [cast("Field", model._meta.get_field(name)) for name in names]  # noqa: SLF001


def _table(connection: Any, model: type[models.Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))  # noqa: SLF001


def _names(connection: Any, fields: Sequence[Field]) -> str:
    return ", ".join(connection.ops.quote_name(field.column) for field in fields)


def _parts(rows: Sequence[Row], width: int) -> Iterator[Sequence[Row]]:
    step = SQLITE_PARAMETERS // width
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _values(
    connection: Any, rows: Sequence[Row], names: Sequence[str], fields: Sequence[Field]
) -> list[Any]:
    pairs = list(zip(names, fields, strict=True))
    return [f.get_db_prep_save(row[name], connection) for row in rows for name, f in pairs]


def _as_python(row: Sequence[Any], fields: Sequence[Field]) -> tuple[Any, ...]:
    """Database values as the fields' Python values (SQLite stores UUIDs as text)."""
    return tuple(field.to_python(value) for value, field in zip(row, fields, strict=True))
