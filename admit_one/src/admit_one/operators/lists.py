"""What the lists of the pages for operators have in common: read only, and fast on long tables."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.db.models import Field
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
    show_facets = admin.ShowFacets.NEVER  # they count the whole table, once for each filter

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:  # noqa: ARG002
        return lookup in self.lookups and "\0" not in value

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


def check_selection(request: HttpRequest, key: Field[Any, Any]) -> None:
    """Raises `BadRequest` if what is selected is no primary key: no page has offered it."""
    try:
        for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
            key.to_python(text)
    except ValidationError:
        raise BadRequest("expected the ids of rows") from None


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


def utc(moment: datetime | None) -> str:
    """To the second; a dash for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else "–"
