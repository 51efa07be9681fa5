"""Set-based writes that Django's ORM cannot express, for SQLite and PostgreSQL alike.

Why not the ORM: `bulk_create(ignore_conflicts=True)` does not report which rows were new, which is
the whole point of an inbox; `bulk_update` writes a CASE for each row, which is slow for hundreds;
and a placeholder per value costs PostgreSQL and us five times as much as a binary array per column.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import UUID

from django.db import connections, models, router

from . import prepared

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
        _columns_of(connection.alias, model, tuple(n)) for n in (rows[0], returning)
    )
    tail = f" RETURNING {returned.listed}" if then is not None else ""

    def and_then(row: Sequence[Any]) -> None:
        if then is not None:
            then(returned.as_python(row))

    writes = connection.writes if connection.vendor == "postgresql" and len(rows) == 1 else None
    if writes is not None:
        [(given, values)] = _given(connection, columns, rows)
        writes.insert(
            lambda condition: f"{_insertion(columns, given, condition)}{tail}",
            values,
            and_then if tail else None,
        )
        return
    with prepared.cursor(connection.alias) as cursor:
        for given, values in _given(connection, columns, rows):
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
        _columns_of(connection.alias, model, tuple(n)) for n in (rows[0], returning)
    )
    tail = ""
    if conflict:
        unique = _columns_of(connection.alias, model, tuple(conflict))
        tail = f"ON CONFLICT ({unique.listed}) DO NOTHING RETURNING {returned.listed}"
        tail += f", {also}" if also else ""
    inserted: list[tuple[Any, ...]] = []
    known = len(returning)
    with prepared.cursor(connection.alias) as cursor:
        for given, values in _given(connection, columns, rows):
            cursor.execute(f"{_insertion(columns, given)} {tail}", values)
            if returning:
                inserted.extend(
                    (*returned.as_python(row[:known]), *row[known:]) for row in cursor.fetchall()
                )
    return inserted


def _insertion(columns: _Columns, given: str, condition: str = "true") -> str:
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
    columns = _columns_of(connection.alias, model, names)
    returned = _columns_of(connection.alias, model, (key, *returning))
    table = columns.table
    given_back = ", ".join(f"{table}.{name}" for name in returned.quoted)
    guard = ""
    if only_where_null:
        [guarded] = _columns_of(connection.alias, model, (only_where_null,)).quoted
        guard = f"AND {table}.{guarded} IS NULL "
    found_by, *others = columns.quoted
    sets = ", ".join(f"{name} = given.column{n}" for n, name in enumerate(others, 2))
    changed: list[Any] = []
    with prepared.cursor(connection.alias) as cursor:
        for given, values in _given(connection, columns, rows):
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
    column = _columns_of(connection.alias, model, (str(model._meta.pk.name),))  # noqa: SLF001
    [name], [element] = column.quoted, column.types
    with prepared.cursor(connection.alias) as cursor:
        cursor.execute(
            f"SELECT {name} FROM {column.table} WHERE {name} = ANY(%b::{element}[])",  # noqa: S608 (model's names)
            [list(keys)],
        )
        return {value for row in cursor.fetchall() for value in column.as_python(row)}


class _Columns(NamedTuple):
    """Columns of a table, in SQL and as Django's fields."""

    table: str
    names: Sequence[str]
    fields: Sequence[Field]
    quoted: Sequence[str]
    types: Sequence[str]
    """Without the length of a varchar: a cast would silently truncate."""
    native: Sequence[frozenset[type] | None]
    """Types of values that the driver takes as they are; none: whatever there is."""
    converters: Sequence[Callable[[Any], Any]]

    @property
    def listed(self) -> str:
        return ", ".join(self.quoted)

    def as_python(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Database values as the fields' Python values."""
        return tuple(convert(value) for value, convert in zip(row, self.converters, strict=True))


@cache  # Django would take longer to derive them than the driver to send a row
def _columns_of(alias: str, model: type[models.Model], names: tuple[str, ...]) -> _Columns:
    connection, about = connections[alias], model._meta  # noqa: SLF001
    quote = connection.ops.quote_name
    fields = [cast("Field", about.get_field(name)) for name in names]
    return _Columns(
        table=quote(about.db_table),
        names=names,
        fields=fields,
        quoted=[quote(str(field.column)) for field in fields],
        types=[str(field.db_type(connection)).partition("(")[0] for field in fields],
        native=[_native(connection, field) for field in fields],
        converters=[_converter(connection, field) for field in fields],
    )


def _converter(connection: Any, field: Field) -> Callable[[Any], Any]:
    """SQLite stores UUIDs as text, and times as text in UTC."""
    if connection.vendor == "sqlite" and isinstance(field, models.DateTimeField):
        return lambda text: None if text is None else datetime.fromisoformat(f"{text}+00:00")
    return field.to_python


def _given(
    connection: Any, columns: _Columns, rows: Sequence[Row]
) -> Iterator[tuple[str, list[Any]]]:
    """`rows` as tables `given (column1, column2, …)`: SQL and parameters, in few statements."""
    if connection.vendor == "sqlite":
        step = SQLITE_PARAMETERS // len(columns.names)
        row_of_values = f"({', '.join(['%s'] * len(columns.names))})"
        for start in range(0, len(rows), step):
            some = _values(connection, columns, rows[start : start + step])
            values = [value for row in zip(*some, strict=True) for value in row]
            yield f"(VALUES {', '.join([row_of_values] * len(some[0]))}) AS given", values
        return
    all_values = _values(connection, columns, rows)
    if len(rows) == 1:  # its values alone cost a third of what arrays of one cost
        placeholders = ", ".join(f"%s::{name}" for name in columns.types)
        yield f"(VALUES ({placeholders})) AS given", [value for (value,) in all_values]
        return
    arrays = ", ".join(map(_array, all_values, columns.types))
    aliases = ", ".join(f"column{n}" for n, _ in enumerate(columns.names, 1))
    yield f"unnest({arrays}) AS given ({aliases})", all_values


def _array(values: Sequence[Any], element: str) -> str:
    # A binary array names the type of its elements, which nulls alone do not show.
    form = "%t" if all(value is None for value in values) else "%b"
    return f"{form}::{element}[]"


def _values(connection: Any, columns: _Columns, rows: Sequence[Row]) -> list[list[Any]]:
    """The values of each column."""
    by_column = ([row[name] for row in rows] for name in columns.names)
    return [
        values
        if native is None or native.issuperset(map(type, values))
        else [field.get_db_prep_save(value, connection) for value in values]
        for field, native, values in zip(columns.fields, columns.native, by_column, strict=True)
    ]


def _native(connection: Any, field: Field) -> frozenset[type] | None:
    if isinstance(field, models.BinaryField):
        return None  # Django would wrap each value
    own = None if connection.vendor == "sqlite" else NATIVE.get(field.get_internal_type())
    return frozenset({type(None), own or type(None)})
