"""Every error response is `application/problem+json` (RFC 9457), wherever the error arises.

    {"type": "/v1/problems/invalid", "title": "Bad Request", "status": 400, "code": "invalid",
     "detail": "email: expected one address", "instance": "/v1/subscriptions",
     "errors": [{"field": "email", "pointer": "#/email", "code": "invalid", "detail": "…"}]}

`code` is for programs and does not change; `detail` is for people and never quotes the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.encoding import escape_uri_path
from rest_framework import exceptions
from rest_framework.request import Request

from admit_one.database import prepared
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer

from .problem_types import type_of

announcer = Announcer()

RETRY_AFTER = "2"
"""Seconds after which to retry a request that failed because the database was unavailable."""

HEADERS = {"WWW-Authenticate": "auth_header", "Retry-After": "retry_after"}
"""The attributes of an error that become headers of its response."""

Fault = dict[str, str]


class Conflict(exceptions.APIException):
    """The state of what is named does not allow this."""

    status_code = 409
    default_code = "conflict"


class TooLarge(exceptions.APIException):
    status_code = 413
    default_detail = "the body is too large"
    default_code = "too_large"


def problem(
    request: HttpRequest | Request,
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Fault] = (),
    headers: dict[str, str] | None = None,
) -> JsonResponse:
    """The response for an error with this HTTP status."""
    body: dict[str, Any] = {
        "type": type_of(code),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": escape_uri_path(mask(request.path)),
    }
    if errors:
        body["errors"] = list(errors)
    return JsonResponse(
        body, status=status, content_type="application/problem+json", headers=headers
    )


def answer(error: Exception, context: dict[str, Any]) -> JsonResponse | None:
    """DRF's EXCEPTION_HANDLER. None for a bug of ours, which `server_error` answers."""
    request = context["request"]
    match error:
        case DatabaseError() | InterfaceError() if _will_pass(error):
            # The change may have been committed, so only a retry with the same key is safe.
            announcer.trouble(
                "request_without_database",
                "requests fail, because the database is unavailable: {error}",
                error=mask(str(error)).strip(),
            )
            detail = "the database is unavailable; retry (a POST with the same Idempotency-Key)"
            return problem(
                request, 503, "unavailable", detail, headers={"Retry-After": RETRY_AFTER}
            )
        case Http404():
            error = exceptions.NotFound("there is nothing with this id that this key may see")
        case exceptions.MethodNotAllowed():
            expected = f"expected one of {', '.join(context['view'].allowed_methods)}"
            error.detail = exceptions.ErrorDetail(expected, error.default_code)
        case PermissionDenied():
            error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    headers = {
        name: value
        for name, attribute in HEADERS.items()
        if (value := getattr(error, attribute, ""))
    }
    if isinstance(error, exceptions.ValidationError):
        faults = list(_faults(error.detail))
        detail = "; ".join(f"{fault['field'] or 'body'}: {fault['detail']}" for fault in faults)
        return problem(
            request, error.status_code, "invalid", detail, errors=faults, headers=headers
        )
    code = str(error.get_codes())
    return problem(request, error.status_code, code, str(error.detail), headers=headers)


def _will_pass(error: Exception) -> bool:
    """Whether a database error is an outage, or a plan that the next request will make again.

    A fail-over to a read-only server is an `InternalError`.
    """
    return isinstance(error, OperationalError | InterfaceError | InternalError) or (
        prepared.are_useless(getattr(error.__cause__, "sqlstate", None))
    )


def _faults(detail: Any, path: tuple[str, ...] = ()) -> Iterator[Fault]:
    """DRF's nested error lists as one flat list, each with its JSON pointer."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _faults(inner, path if name == "non_field_errors" else (*path, str(name)))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _faults(inner, path)
    else:
        path = tuple(mask(step) for step in path)
        steps = (step.replace("~", "~0").replace("/", "~1") for step in path)
        yield {
            "field": ".".join(path),
            "pointer": "#" + "".join(f"/{escape_uri_path(step)}" for step in steps),
            "code": detail.code,
            "detail": str(detail),
        }


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001
    """Django's handler400: what the framework itself refuses, such as a wrong host."""
    return problem(request, 400, "bad_request", "the request is malformed")


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001
    """Django's handler403."""
    return problem(request, 403, "permission_denied", "this is not allowed")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001
    """Django's handler404."""
    return problem(request, 404, "not_found", "there is nothing at this address")


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500. The log has the reason, with the request's id."""
    return problem(request, 500, "error", "the server failed; its log says why")
