"""Completes the API's description with what holds for every operation."""

from __future__ import annotations

import json
import re
from typing import Any

from .problem_pages import entries
from .problem_types import type_of

PROBLEM = "application/problem+json"
EXAMPLE = re.compile(r"```json\n(.*?)```", re.DOTALL)

HEADERS = {
    "X-Request-ID": {
        "description": "Names the request in our log: that of the request, if it had one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
        "example": "0195f7c4-8d2e-7a31-b8a5-2f6c1d9e4b70",
    },
    "Cache-Control": {
        "description": "No cache may store it: it has codes and addresses.",
        "schema": {"type": "string", "enum": ["no-store"]},
    },
    "WWW-Authenticate": {
        "description": "How to send the key, or which scope it lacks (RFC 6750).",
        "schema": {"type": "string"},
        "example": 'Bearer realm="api"',
    },
    "Retry-After": {
        "description": "Seconds after which to repeat the request.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 2,
    },
}
EVERYWHERE = ("X-Request-ID", "Cache-Control")
OF_STATUS = {
    "401": ["WWW-Authenticate"],
    "403": ["WWW-Authenticate"],
    "429": ["Retry-After"],
    "503": ["Retry-After"],
}
BY_THE_WEB_SERVER = {"408", "431", "501"}
"""Answered before the application sees the request, so without its headers."""


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A post-processing hook: summaries, headers, links, and each problem once with examples."""
    components = result["components"]
    components["headers"] = HEADERS
    problems = components.setdefault("responses", {})
    for operations in result["paths"].values():
        for operation in operations.values():
            _summarise(operation)
            _link(operation)
            responses = operation["responses"]
            for status, response in responses.items():
                _add_headers(status, response)
                if PROBLEM in response.get("content", {}):
                    response["content"][PROBLEM]["examples"] = _examples(int(status))
                    problems[f"Problem{status}"] = response
                    responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
    return result


def _summarise(operation: dict[str, Any]) -> None:
    first = operation["description"].split("\n\n")[0].replace("\n", " ")
    operation.setdefault("summary", re.split(r"[.;](?: |$)", first)[0])


def _link(operation: dict[str, Any]) -> None:
    """Move `x-links`, which `extend_schema` can say, to where OpenAPI has them."""
    for status, links in operation.pop("x-links", {}).items():
        operation["responses"][status]["links"] = links


def _add_headers(status: str, response: dict[str, Any]) -> None:
    shared = () if status in BY_THE_WEB_SERVER else (*EVERYWHERE, *OF_STATUS.get(status, ()))
    headers = response.setdefault("headers", {})
    headers |= {name: {"$ref": f"#/components/headers/{name}"} for name in shared}
    if not headers:
        del response["headers"]


def _examples(status: int) -> dict[str, Any]:
    """Those of the pages about problems with this status."""
    problems = (
        json.loads(example) for text in entries().values() for example in EXAMPLE.findall(text)
    )
    return {
        problem["code"]: {"value": {**problem, "type": type_of(problem["code"])}}
        for problem in problems
        if problem["status"] == status
    }
