"""Where a request ends: refused if two servers in a row could disagree about it.

A proxy that reads the end of a body in another way than we do makes one client's body the next
client's request (RFC 9112, sections 6.1 and 6.3).
"""

from __future__ import annotations

from waitress.parser import HTTPRequestParser, ParsingError

VERSIONS = {"1.0", "1.1"}


class Request(HTTPRequestParser):  # type: ignore[misc]  # waitress is not typed
    """A request whose end and whose address leave no doubt; others are answered with 400."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers. Raises `ParsingError`, and what waitress answers by itself."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # else the connection would end without an answer
            raise ParsingError("its address or its length cannot be read") from error
        if self.version not in VERSIONS:
            raise ParsingError("expected HTTP/1.0 or HTTP/1.1")
        # Waitress takes the header away where it honours it: with HTTP/1.1.
        ignored = "TRANSFER_ENCODING" in self.headers
        if ignored or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise ParsingError("expected Transfer-Encoding with HTTP/1.1 and no Content-Length")
