"""Which requests are read: those that a proxy in front of us cannot read in another way."""

from __future__ import annotations

from waitress.parser import HTTPRequestParser, ParsingError

VERSIONS = {"1.0", "1.1"}

SINGLE = {
    name.lower(): name
    for name in (
        b"Authorization",
        b"Content-Length",
        b"Content-Type",
        b"Expect",
        b"Host",
        b"Idempotency-Key",
        b"Transfer-Encoding",
        b"X-Forwarded-Proto",
        b"X-Request-ID",
    )
}
"""Headers with one value. Of two, a proxy could take the first and we the other one."""


class Request(HTTPRequestParser):  # type: ignore[misc]  # waitress is not typed
    """Refuses requests with an ambiguous length or an invalid address, with 400.

    If a proxy and we disagree where a body ends, one client's body becomes the next client's
    request (RFC 9112, sections 6.1 and 6.3).
    """

    command = ""
    fault = ""
    """What is unclear, for the client; empty if only waitress knows."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers. Raises `ParsingError`, and what waitress raises itself."""
        self.command = header_plus.partition(b" ")[0].decode("latin-1")  # also if the rest is bad
        self._refuse_repeated(header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # otherwise the connection would end without a response
            raise self._unclear("expected an address and a length that can be read") from error
        if self.version not in VERSIONS:
            raise self._unclear("expected HTTP/1.0 or HTTP/1.1")
        if self.version == "1.1" and "HOST" not in self.headers:
            raise self._unclear("expected the header Host")
        # Waitress removes the header if it honours it, which it does only for HTTP/1.1.
        ignored = "TRANSFER_ENCODING" in self.headers
        if ignored or (self.chunked and "CONTENT_LENGTH" in self.headers):
            raise self._unclear("expected Transfer-Encoding with HTTP/1.1 and no Content-Length")

    def _refuse_repeated(self, header_plus: bytes) -> None:
        _, *lines = header_plus.split(b"\r\n")
        if any(line.startswith((b" ", b"\t")) for line in lines):
            # Some join it to the header before it, others read it as one of its own or drop it.
            raise self._unclear("expected each header on one line")
        headers = [(name.lower(), value) for name, _, value in (x.partition(b":") for x in lines)]
        names = [name for name, _ in headers]
        for name, as_written in SINGLE.items():
            if names.count(name) > 1:
                raise self._unclear(f"expected the header {as_written.decode()} once")
        coding = dict(headers).get(b"transfer-encoding", b"chunked")
        if b"," in coding or not coding.strip(b" \t"):
            raise self._unclear("expected Transfer-Encoding: chunked, or none")

    def _unclear(self, fault: str) -> ParsingError:
        self.fault = fault
        return ParsingError(fault)
