"""Lists come in pages; a cursor marks where the next one begins.

Page numbers would shift when rows are added, and later pages would be slow.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlencode
from uuid import UUID

from django.db import models
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

LIMIT = 50
MAX_LIMIT = 100
CURSOR_PATTERN = "^[A-Za-z0-9_-]{32}$"

BEGINNING = datetime.min.replace(tzinfo=UTC)
LATEST = (datetime.max.replace(tzinfo=UTC) - BEGINNING) // timedelta(microseconds=1)

M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True)
class Order:
    """By a time, and of rows with the same one by their primary key, a UUID."""

    moment: str
    """The name of the field."""
    number: int
    """From 0 to 3, another one for each order of a list: a cursor says of which one it is."""
    newest_first: bool = True


@dataclass(frozen=True)
class Page(Generic[M]):
    rows: list[M]
    next: str | None
    """The path of the next page, with its query; None at the end."""

    def headers(self, request: Request) -> dict[str, str]:
        """`Link` to the next page (RFC 8288), with the host and scheme that the client used."""
        if self.next is None:
            return {}
        return {"Link": f'<{request.build_absolute_uri(self.next)}>; rel="next"'}


def page_of(rows: models.QuerySet[M], request: Request, order: Order) -> Page[M]:
    """The page of `rows` that the query's `limit` and `cursor` name.

    Raises 400 for a limit that is not a number from 1 to 100, or a cursor that we did not make
    for this order.
    """
    limit = limit_of(request)
    cursor = request.query_params.get("cursor")
    if cursor is not None:
        rows = _after(rows, order, *_position(cursor, order))
    sign = "-" if order.newest_first else ""
    page = list(rows.order_by(f"{sign}{order.moment}", f"{sign}pk")[: limit + 1])
    if len(page) <= limit:
        return Page(page, None)
    page.pop()
    last = page[-1]
    following = {"limit": limit, "cursor": _cursor(getattr(last, order.moment), last.pk, order)}
    query = urlencode(request.query_params.dict() | following)
    return Page(page, f"{request.path}?{query}")


def limit_of(request: Request) -> int:
    """How many rows a page is to hold. Raises 400 for anything but a number from 1 to 100."""
    text = request.query_params.get("limit", str(LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValidationError({"limit": [f"expected a number from 1 to {MAX_LIMIT}"]})
    return int(text)


def filters_of(
    request: Request, filters: serializers.Serializer[Any], names: Iterable[str]
) -> dict[str, Any]:
    """The query's filters of these names, checked by `filters`.

    Raises 400, naming the faults of all of them and of `limit` at once.
    """
    given = {name: request.query_params[name] for name in names if name in request.query_params}
    faults: dict[str, Any] = {}
    values: dict[str, Any] = {}
    try:
        limit_of(request)
    except ValidationError as error:
        faults |= cast("dict[str, Any]", error.detail)
    try:
        values = filters.run_validation(given)
    except ValidationError as error:
        faults |= cast("dict[str, Any]", error.detail)
    if faults:
        raise ValidationError(faults)
    return values


def _after(
    rows: models.QuerySet[M], order: Order, moment: datetime, pk: UUID
) -> models.QuerySet[M]:
    # Of two conditions, the first lets the database use an index, and the second is exact.
    beyond = "lt" if order.newest_first else "gt"
    near = {f"{order.moment}__{beyond}e": moment}
    exact = models.Q((f"{order.moment}__{beyond}", moment), (f"pk__{beyond}", pk), _connector="OR")
    return rows.filter(**near).filter(exact)


def _cursor(moment: datetime, pk: UUID, order: Order) -> str:
    """Eight bytes of time in microseconds, whose last two bits say which order, and the key."""
    since = (moment - BEGINNING) // timedelta(microseconds=1)
    number = since * 4 + order.number
    return base64.urlsafe_b64encode(number.to_bytes(8, "big") + pk.bytes).decode()


def _position(cursor: str, order: Order) -> tuple[datetime, UUID]:
    if re.fullmatch(CURSOR_PATTERN, cursor):
        raw = base64.urlsafe_b64decode(cursor)
        since, number = divmod(int.from_bytes(raw[:8], "big"), 4)
        if since <= LATEST and number == order.number:
            return BEGINNING + timedelta(microseconds=since), UUID(bytes=raw[8:])
    raise ValidationError({"cursor": ["expected the cursor of a `next` URL, with its filters"]})
