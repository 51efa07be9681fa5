"""Keeps a code that stands in an address, where none belongs, out of problems and logs."""

from __future__ import annotations

from collections.abc import Callable

from admit_one.masking import hiding
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from access_codes import codes

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def hide_codes(get_response: GetResponse) -> GetResponse:
    """Middleware. A client may mistake a code for its id: the problem would repeat it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        parts = [*request.path_info.split("/"), *request.GET]
        alike = [part for part in parts if codes.is_like_one(part)]
        if not alike:
            return get_response(request)
        with hiding(alike):
            response = get_response(request)
        # Django would add a line with the path.
        response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
        return response

    return middleware
