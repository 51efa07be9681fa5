"""Bodies are JSON, both ways, whatever the caller's Accept header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from admit_one.contract import strict_json
from admit_one.contract.errors import Malformed

from .problems import TooLarge


class StrictJSONParser(BaseParser):
    """JSON in UTF-8, and nothing that two parsers could read differently.

    Raises 400 for invalid JSON, 413 for too large a body, 415 for another encoding.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        meta = parser_context["request"].META if parser_context else {}
        if meta.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
            raise UnsupportedMediaType("", "expected a body without Content-Encoding")
        _, parameters = parse_header_parameters(media_type or "")
        if parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType("", "expected charset=utf-8, or none")
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or strict_json.MAX_BYTES
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise TooLarge(f"expected a body of at most {limit:,} bytes")
        try:
            return strict_json.loads(raw)
        except Malformed as error:
            raise ParseError(str(error)) from None


class AlwaysJSON(BaseContentNegotiation):
    """Picks the first parser for the content type, and the first renderer."""

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
        """Never 406: it would precede the 401, and show a client without a key what exists."""
        first = next(iter(renderers))
        return first, str(first.media_type)
