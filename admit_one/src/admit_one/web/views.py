"""What every endpoint has in common, before its own work begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import problems
from .serializers import NAMED_AT_MOST


class StrictView(APIView):
    """Refuses query parameters that it does not know, or that come twice.

    A misspelt filter would be answered as if there were none, with what nobody wanted to see.
    """

    query: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The names of the query parameters that each method takes, such as `{"get": ["limit"]}`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who has no key learns nothing about parameters."""
        super().initial(request, *args, **kwargs)
        self._check_query(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            problems.announcer.over("requests_answered", "requests are answered again")
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:  # noqa: ARG002
        """The methods are in `Allow`, as in every response."""
        return Response(status=204)

    def _check_query(self, request: Request) -> None:
        method = str(request.method).lower()
        known = self.query.get("get" if method == "head" else method, ())
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
