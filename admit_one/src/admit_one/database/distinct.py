"""The different values of a column in a table that only grows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import models


def each_value(model: type[models.Model], column: str) -> Iterator[Any]:
    """Each value once, in order. An index must begin with the column.

    One look at the index for each value, where DISTINCT would read every row.
    """
    rows = model._default_manager.order_by(column).values_list(column, flat=True)  # noqa: SLF001
    value = rows.first()
    while value is not None:
        yield value
        value = rows.filter(**{f"{column}__gt": value}).first()
