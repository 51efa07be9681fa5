"""Columns of a table in SQL, and rows of Python values as a table that a statement reads.

Values travel in few parameters: a binary array for each column on PostgreSQL, where a placeholder
for each value costs the server and us five times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import UUID

from django.db import connections, models

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


class Columns(NamedTuple):
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
def columns_of(alias: str, model: type[models.Model], names: tuple[str, ...]) -> Columns:
    connection, about = connections[alias], model._meta  # noqa: SLF001
    quote = connection.ops.quote_name
    fields = [cast("Field", about.get_field(name)) for name in names]
    return Columns(
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


def _native(connection: Any, field: Field) -> frozenset[type] | None:
    if isinstance(field, models.BinaryField):
        return None  # Django would wrap each value
    own = None if connection.vendor == "sqlite" else NATIVE.get(field.get_internal_type())
    return frozenset({type(None), own or type(None)})


def as_tables(
    connection: Any, columns: Columns, rows: Sequence[Row]
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


def _values(connection: Any, columns: Columns, rows: Sequence[Row]) -> list[list[Any]]:
    """The values of each column."""
    by_column = ([row[name] for row in rows] for name in columns.names)
    return [
        values
        if native is None or native.issuperset(map(type, values))
        else [field.get_db_prep_save(value, connection) for value in values]
        for field, native, values in zip(columns.fields, columns.native, by_column, strict=True)
    ]
