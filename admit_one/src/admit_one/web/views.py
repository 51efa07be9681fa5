"""What every endpoint has in common, before its own work begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import metrics, problems
from .keys.authentication import MissingScope, key_of
from .keys.scopes import SCOPES
from .limits import counting
from .serializers import NAMED_AT_MOST

METHODS = ("get", "post", "put", "patch", "delete")


class StrictView(APIView):
    """Refuses keys without the scope that a method needs, and query parameters that it does not
    know, or that come twice.

    A misspelt filter would be answered as if there were none, with what nobody wanted to see.
    A class that forgets a method's scope raises `TypeError`.
    """

    scopes: ClassVar[Mapping[str, str]] = {}
    """The scope that each method needs, such as `{"get": "subscriptions:read"}`."""

    query: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The names of the query parameters that each method takes, such as `{"get": ["limit"]}`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        methods = {name for name in METHODS if hasattr(cls, name)}
        if methods != cls.scopes.keys() or not set(cls.scopes.values()) <= SCOPES.keys():
            raise TypeError(f"{cls.__name__}.scopes: expected a scope for each of {methods}")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who has no key learns nothing about scopes, and who may not do it, none about parameters.

        A method that the view does not have needs no scope, and is 405 with any parameters.
        """
        super().initial(request, *args, **kwargs)
        scope = self.scopes.get(_method(request))
        if scope is None:
            return
        if not key_of(request).may(scope):
            metrics.REFUSED.labels("missing_scope").inc()
            raise MissingScope(scope)
        self._check_query(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if response.status_code < HTTPStatus.BAD_REQUEST:
            problems.announcer.over("requests_answered", "requests are answered again")
        for name, value in counting.headers(request).items():
            response[name] = value
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002
        """The methods are in `Allow`, as in every response."""
        return Response(status=204)

    def _check_query(self, request: Request) -> None:
        known = self.query.get(_method(request), ())
        expected = f"expected only {', '.join(known)}" if known else "expected no query"
        faults = {
            name[:NAMED_AT_MOST]: [
                ErrorDetail("expected it once", code="repeated")
                if name in known
                else ErrorDetail(expected, code="unknown")
            ]
            for name, values in request.query_params.lists()
            if name not in known or len(values) > 1
        }
        if faults:
            raise ValidationError(dict(list(faults.items())[:10]))


def _method(request: Request) -> str:
    """As it is declared: HEAD is GET without the body."""
    method = str(request.method).lower()
    return "get" if method == "head" else method
