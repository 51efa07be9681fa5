"""An error that the server itself answers, like those of the application (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from admit_one.web.problem_types import type_of

CONTENT_TYPE = "application/problem+json"


class Problem(NamedTuple):
    status: int
    title: str
    code: str
    detail: str

    @property
    def body(self) -> bytes:
        return json.dumps({"type": type_of(self.code), **self._asdict()}).encode()

    def wsgi(self, start_response: Callable[..., Any]) -> list[bytes]:
        headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(self.body)))]
        start_response(f"{self.status} {self.title}", headers)
        return [self.body]
