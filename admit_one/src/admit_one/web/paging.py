"""Lists come in pages, newest first; a cursor marks where the next one begins.

Page numbers would shift when rows are added, and later pages would be slow.
"""

from __future__ import annotations

import base64
import re
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.db import models
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

LIMIT = 50
MAX_LIMIT = 100
CURSOR_PATTERN = "^[A-Za-z0-9_-]{22}$"

M = TypeVar("M", bound=models.Model)


def page_of(rows: models.QuerySet[M], request: Request) -> tuple[list[M], str | None]:
    """The page of `rows` (with UUIDv7 keys) for the query's `limit` and `cursor`, and the next one.

    The next one is a path with a query: only the client knows which host and scheme it uses.

    Raises 400 for a limit that is not a number from 1 to 100, or a cursor that we did not make.
    """
    limit = _limit(request.query_params.get("limit", str(LIMIT)))
    cursor = request.query_params.get("cursor")
    if cursor is not None:
        rows = rows.filter(pk__lt=_position(cursor))
    page = list(rows.order_by("-pk")[: limit + 1])
    if len(page) <= limit:
        return page, None
    page.pop()
    query = urlencode({"limit": limit, "cursor": _cursor(page[-1].pk)})
    return page, f"{request.path}?{query}"


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValidationError({"limit": [f"expected a number from 1 to {MAX_LIMIT}"]})
    return int(text)


def _cursor(position: UUID) -> str:
    return base64.urlsafe_b64encode(position.bytes).decode().rstrip("=")


def _position(cursor: str) -> UUID:
    if re.fullmatch(CURSOR_PATTERN, cursor):
        position = UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))
        if _cursor(position) == cursor:
            return position
    raise ValidationError({"cursor": ["expected the cursor of a `next` URL"]})
