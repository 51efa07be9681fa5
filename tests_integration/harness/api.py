"""Calls the HTTP API of a service with one key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools import rest
from tools.rest import Response


class Api:
    """The API at `url`, called with one key; thread-safe."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._authorization = {"Authorization": f"Bearer {api_key}"}

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request. Raises one of `NO_ANSWER`, or `ValueError` for a truncated answer."""
        return rest.call(method, self._url + path, body, {**self._authorization, **(headers or {})})
