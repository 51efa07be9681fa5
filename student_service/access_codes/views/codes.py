"""What there is to know about codes: for operators and their programs."""

from __future__ import annotations

import base64
import re
from typing import ClassVar
from urllib.parse import urlencode
from uuid import UUID

from admit_one.web import MailAddress, StrictView, key_of, openapi, paging
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access_codes import admission, listing
from access_codes.listing import LISTED, Filters, State
from access_codes.serializers.codes import (
    AccessCodeAnswer,
    AccessCodePage,
    in_clear,
    masked,
    shown,
    shown_all,
)

from .common import ACCESS_ID, OPERATE, READ, access_of, unstored

CURSOR_PATTERN = "^[A-Za-z0-9_-]{22}$"
LONGEST_NAME = 64

FILTERS = (
    OpenApiParameter(
        "user_id",
        {"type": "string", "maxLength": LONGEST_NAME},
        description="Only codes that were issued for this user.",
    ),
    OpenApiParameter(
        "plan",
        {"type": "string", "maxLength": LONGEST_NAME},
        description="Only codes that were paid for this plan.",
    ),
    OpenApiParameter(
        "state",
        {"type": "string", "enum": [state.value for state in LISTED]},
        description="Only codes in this state.",
    ),
    OpenApiParameter(
        "email",
        {"type": "string", "format": "email", "maxLength": 254},
        description="Only codes that were mailed to this mailbox, however it is spelt.",
    ),
)
LIMIT = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": paging.MAX_LIMIT, "default": paging.LIMIT},
    description="How many a page holds at most.",
)
CURSOR = OpenApiParameter(
    "cursor",
    {"type": "string", "pattern": CURSOR_PATTERN},
    description="Where the page begins: the opaque cursor from `next`.",
)


def may_see_codes(request: Request) -> bool:
    """Whether the client may see a whole code, one at a time."""
    return key_of(request).may(READ)


@unstored
class AccessCodes(StrictView):
    scopes: ClassVar = {"get": OPERATE}
    query: ClassVar = {"get": ("limit", "cursor", *Filters._fields)}

    @extend_schema(
        operation_id="list_access_codes",
        parameters=[*openapi.RATE_LIMIT, *FILTERS, LIMIT, CURSOR],
        responses={
            200: OpenApiResponse(
                AccessCodePage,
                "A page of codes, masked. Where few codes match the filters, it may hold fewer "
                "than `limit`, or none, and `next` goes on: the end is where `next` is null.",
            ),
            **openapi.problems(400, 401, 403, 429),
        },
    )
    def get(self, request: Request) -> Response:
        """List the current code of each subscription, the newest subscription first."""
        given = request.query_params
        filters, limit = _filters(given.dict()), _limit(given.get("limit", str(paging.LIMIT)))
        before = _position(given["cursor"]) if "cursor" in given else None
        rows, last = listing.page(filters, before=before, limit=limit)
        following = None
        if last is not None:
            query = urlencode(given.dict() | {"limit": limit, "cursor": _cursor(last)})
            following = f"{request.path}?{query}"
        return Response({"results": shown_all(rows), "next": following})


@unstored
class AccessCodeDetail(StrictView):
    scopes: ClassVar = {"get": OPERATE}

    @extend_schema(
        operation_id="show_access_code",
        parameters=[*openapi.RATE_LIMIT, ACCESS_ID],
        responses={
            200: OpenApiResponse(
                AccessCodeAnswer,
                "The code as it is now; whole, if the key has the scope `codes:read`.",
            ),
            **openapi.problems(400, 401, 403, 404, 429),
        },
    )
    def get(self, request: Request, access_id: str) -> Response:
        """Show one code."""
        subscription_id, generation = access_of(access_id)
        row = admission.with_state().filter(pk=subscription_id).first()
        if row is None or generation > row.generation:
            raise Http404
        show = in_clear if may_see_codes(request) else masked
        return Response(shown(row, generation, show))


def _filters(given: dict[str, str]) -> Filters:
    """Raises 400, naming all faults at once."""
    faults: dict[str, list[str]] = {}
    for name in ("user_id", "plan"):
        value = given.get(name)
        if value is not None and not (0 < len(value) <= LONGEST_NAME and value.isprintable()):
            faults[name] = [f"expected 1 to {LONGEST_NAME} visible characters"]
    state = given.get("state")
    if state is not None and state not in LISTED:
        faults["state"] = [f"expected one of {', '.join(LISTED)}"]
    if "email" in given:
        try:
            MailAddress(max_length=254).run_validation(given["email"])
        except ValidationError as error:
            faults["email"] = error.detail  # type: ignore[assignment]
    if faults:
        raise ValidationError(faults)
    return Filters(
        given.get("user_id"),
        given.get("plan"),
        None if state is None else State(state),
        given.get("email"),
    )


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= paging.MAX_LIMIT:
        raise ValidationError({"limit": [f"expected a number from 1 to {paging.MAX_LIMIT}"]})
    return int(text)


def _cursor(position: UUID) -> str:
    return base64.urlsafe_b64encode(position.bytes).decode().rstrip("=")


def _position(cursor: str) -> UUID:
    if re.fullmatch(CURSOR_PATTERN, cursor):
        position = UUID(bytes=base64.urlsafe_b64decode(f"{cursor}=="))
        if _cursor(position) == cursor:
            return position
    raise ValidationError({"cursor": ["expected the cursor of a `next` URL"]})
