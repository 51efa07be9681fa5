"""HTTP with JSON, as a program of another team would speak it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any


class Refused(OSError):
    """The server answered with an error; the message says which, and its body."""

    def __init__(self, method: str, url: str, status: int, body: str) -> None:
        super().__init__(f"{method} {url} answered {status}: {body}")
        self.status = status


def get(url: str, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON at `url`. Raises `Refused`, or `OSError` if nobody answers."""
    return _ask("GET", url, None, headers)


def post(url: str, body: object, headers: Mapping[str, str] | None = None) -> Any:
    """Send JSON and return the JSON that is answered. Raises `Refused` or `OSError`."""
    return _ask("POST", url, json.dumps(body).encode(), headers)


def _ask(method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None) -> Any:
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        raise Refused(method, url, error.code, text) from None
