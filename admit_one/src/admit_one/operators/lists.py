"""What the lists of the pages for operators have in common: read only, and fast on long tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

from admit_one.database.distinct import each_value
from admit_one.masking import harmless

if TYPE_CHECKING:
    from django.db.models import QuerySet

    PaginatorBase = Paginator[Any]
else:
    PaginatorBase = Paginator


class ReadOnly:
    """Rows that record what happened: nobody adds, changes or deletes one.

    URLs can filter by `lookups` only; otherwise they could probe every column, the body, too.
    """

    lookups: ClassVar[Collection[str]] = ()

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:  # noqa: ARG002
        return lookup in self.lookups and "\0" not in value

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


MAX_COUNTED = 10_000
"""Rows that a list counts and pages through, at most; searches and filters find the others."""


class CappedPaginator(PaginatorBase):
    """Takes no longer for a list of a million rows."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MAX_COUNTED].count())


class ValueFilter(admin.SimpleListFilter):
    """Filters by the values that a column has, read from an index that begins with it."""

    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        values = each_value(model_admin.model, self.parameter_name)
        return [(value, harmless(value) or "none") for value in values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(**{self.parameter_name: value})


def filter_by(column: str) -> type[ValueFilter]:
    """A filter for this column."""
    return type(f"By{column.title()}", (ValueFilter,), {"parameter_name": column, "title": column})
