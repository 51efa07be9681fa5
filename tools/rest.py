"""A small HTTP client for JSON.

`get`, `post` and `patch` return the JSON of a success; `call` and `Client` return responses of any
status.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

NO_ANSWER = (OSError, http.client.HTTPException)
"""Errors for a server that is down or dies."""

Headers = Mapping[str, str]


class Refused(OSError):
    """The server answered with an error; the message has the status and the body."""

    def __init__(self, method: str, url: str, answer: Response) -> None:
        super().__init__(f"{method} {url} answered {answer.status}: {answer.body}")
        self.status = answer.status


@dataclass(frozen=True)
class Response:
    """`body` is decoded JSON, text if it is not JSON, or None if it is empty."""

    status: int
    headers: http.client.HTTPMessage
    body: Any


class Client:
    """The server at `url`, over one persistent connection; not thread-safe.

    `headers` are sent with every request. `timeout` is in seconds, for each read and write.
    """

    def __init__(self, url: str, headers: Headers | None = None, *, timeout: float = 15) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=timeout
        )
        self._headers = dict(headers or {})

    def call(
        self, method: str, path: str, body: object = None, headers: Headers | None = None
    ) -> Response:
        """Send one request, with `body` as JSON unless it is None.

        Raises one of `NO_ANSWER`, or `ValueError` for JSON that cannot be decoded.
        """
        sent = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, sent, {**self._headers, **kind, **(headers or {})})
        got = self._connection.getresponse()
        return Response(got.status, got.headers, _decoded(got.read(), got.headers))

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()


def _decoded(content: bytes, headers: http.client.HTTPMessage) -> Any:
    if not content:
        return None
    is_json = headers.get_content_subtype().rpartition("+")[2] == "json"
    return json.loads(content) if is_json else content.decode(errors="replace")


def call(method: str, url: str, body: object = None, headers: Headers | None = None) -> Response:
    """One request over a new connection. Raises as `Client.call` does."""
    path = urlunsplit(urlsplit(url)._replace(scheme="", netloc=""))
    with closing(Client(url)) as client:
        return client.call(method, path or "/", body, headers)


def get(url: str, headers: Headers | None = None) -> Any:
    """The JSON at `url`. Raises `Refused`, or as `Client.call` does."""
    return _accepted("GET", url, call("GET", url, None, headers))


def post(url: str, body: object, headers: Headers | None = None) -> Any:
    """Send JSON and return the JSON of the answer. Raises `Refused`, or as `Client.call` does."""
    return _accepted("POST", url, call("POST", url, body, headers))


def patch(url: str, body: object, headers: Headers | None = None) -> Any:
    """Change with JSON and return the JSON of the answer. Raises as `post` does."""
    return _accepted("PATCH", url, call("PATCH", url, body, headers))


def _accepted(method: str, url: str, answer: Response) -> Any:
    if answer.status >= 400:
        raise Refused(method, url, answer)
    return answer.body
