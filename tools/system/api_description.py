"""What the description of an API lacks: words, examples, headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

OF_EVERY_SERVER = {
    *("Content-Type", "Content-Length", "Vary", "Allow"),
    *("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy"),
    "Cross-Origin-Opener-Policy",
}
"""The headers that need no description."""


def operations(description: dict[str, Any]) -> list[dict[str, Any]]:
    """With what they refer to in the places of the references."""
    parts = description["components"]

    def resolved(value: Any) -> Any:
        match value:
            case {"$ref": str(reference)} if "/schemas/" not in reference:
                _, _, kind, name = reference.split("/")
                return resolved(parts[kind][name])
            case dict():
                return {key: resolved(inner) for key, inner in value.items()}
        return value

    return [
        resolved(each) for methods in description["paths"].values() for each in methods.values()
    ]


def without_words(description: dict[str, Any]) -> list[tuple[str, str]]:
    """What has no description: operations, parameters, answers, headers and fields."""
    lacking = []
    for operation in operations(description):
        headers = [
            (title, header)
            for response in operation["responses"].values()
            for title, header in response.get("headers", {}).items()
        ]
        described = [
            ("itself", operation),
            *((each["name"], each) for each in operation.get("parameters", [])),
            *operation["responses"].items(),
            *headers,
        ]
        name = operation["operationId"]
        lacking += [(name, title) for title, each in described if not each.get("description")]
    for name, schema in description["components"]["schemas"].items():
        for field, value in schema.get("properties", {}).items():
            if "$ref" not in value and not value.get("description"):
                lacking.append((name, field))
    return lacking


def without_examples(description: dict[str, Any]) -> list[tuple[str, str]]:
    """Bodies of requests and answers that have no example, or one that does not fit."""
    return [
        (operation["operationId"], title)
        for operation in operations(description)
        for title, media in _bodies(operation)
        if not media.get("examples") or not all(_fit(description, media))
    ]


def _bodies(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for title, body in bodies.items():
        for media in body.get("content", {}).values():
            yield title, media


def _fit(description: dict[str, Any], media: dict[str, Any]) -> Iterator[bool]:
    schema = {**media["schema"], "components": description["components"]}
    for example in media["examples"].values():
        yield Draft202012Validator(schema).is_valid(example["value"])


def undescribed_headers(
    description: dict[str, Any], answers: Mapping[str, Iterable[Any]]
) -> list[tuple[str, int, str]]:
    """The headers of these answers, by operation, that the description does not know."""
    described = {each["operationId"]: each["responses"] for each in operations(description)}
    return [
        (name, answer.status_code, header)
        for name, given in answers.items()
        for answer in given
        for header in sorted(answer.headers.keys() - OF_EVERY_SERVER)
        if header not in described[name][str(answer.status_code)].get("headers", {})
    ]
