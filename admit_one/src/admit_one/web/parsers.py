"""Request bodies: JSON in UTF-8, and nothing that two readers could read differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from admit_one.contract import strict_json
from admit_one.contract.errors import Malformed

from .problems import TooLarge


class StrictJSONParser(BaseParser):
    """Raises 400 for what is not JSON, 413 for too much of it, 415 for another encoding."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The value of the body."""
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
