"""`X-Request-ID`: an id for each request, the client's if it is valid, in every response."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from uuid_utils.compat import uuid7

from admit_one.logs import EventLogger

logger = EventLogger(__name__)

USABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""It appears in logs and headers, so it must not break a line or a quotation."""

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def request_ids(get_response: GetResponse) -> GetResponse:
    """Middleware. Logs a failed request with its id, so that a client's report leads to it.

    An outage is not logged for each request: hundreds of them would bury the reason.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if USABLE.fullmatch(given) else str(uuid7())
        response = get_response(request)
        response["X-Request-ID"] = request_id
        if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            # The outage is logged, and Django is not to add a line for each request.
            response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
        elif response.status_code >= 500:
            logger.error(
                "request_failed",
                "{method} answered {status}, request {request_id}",
                method=request.method,
                status=response.status_code,
                request_id=request_id,
            )
        return response

    return middleware
