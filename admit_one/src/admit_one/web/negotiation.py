"""Answers are JSON, whatever the caller would rather accept (RFC 9110, 12.5.1 allows that)."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class AlwaysJSON(BaseContentNegotiation):
    """The first parser that fits the content type, and the first renderer."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Raises 415 for another content type, or none."""
        given = request.content_type.partition(";")[0].strip().lower()
        for parser in parsers:
            if parser.media_type == given:
                return parser
        expected = " or ".join(str(parser.media_type) for parser in parsers)
        raise UnsupportedMediaType("", f"expected a body of Content-Type {expected}")

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002 (DRF's signature)
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        """A 406 would come before the 401, and show a client without a key what is here."""
        first = next(iter(renderers))
        return first, str(first.media_type)
