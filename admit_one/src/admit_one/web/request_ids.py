"""`X-Request-ID`: one id for a call, the caller's if it sent a usable one, in every response."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from uuid_utils.compat import uuid7

from admit_one.logs import EventLogger

logger = EventLogger(__name__)

USABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""It stands in logs and headers: nothing that could break a line or a quote."""

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def request_ids(get_response: GetResponse) -> GetResponse:
    """Middleware. A failed call is logged with its id, so that a caller's report finds it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if USABLE.fullmatch(given) else str(uuid7())
        response = get_response(request)
        response["X-Request-ID"] = request_id
        if response.status_code >= 500:
            logger.error(
                "request_failed",
                "{method} answered {status}, request {request_id}",
                method=request.method,
                status=response.status_code,
                request_id=request_id,
            )
        return response

    return middleware
