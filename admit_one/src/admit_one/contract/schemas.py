"""A contract as files for other teams and other languages: JSON Schemas and golden messages.

`schemas/<type>.schema.json` is the JSON Schema (2020-12) of the whole message, and follows the
class. `golden/<type>.json` is one message as it was first sent, byte for byte. It is written once
and never changed: a consumer that can no longer read it has broken the contract.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import patterns
from .envelope import Attributes, Envelope
from .errors import ContractError, Malformed
from .event import Event
from .examples import example_of
from .package import ContractPackage


def schema_of(event_class: type[Event]) -> dict[str, Any]:
    """The schema of a message of `event_class`; other fields are allowed and ignored."""
    message = Attributes.model_json_schema()
    data = event_class.model_json_schema(mode="validation")
    if parts := data.pop("$defs", None):
        message["$defs"] = parts
    message["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # The namespace is fixed: a package's name may have an underscore, which no URN may have there.
    package = event_class.__module__.partition(".")[0]
    message["$id"] = f"urn:event-schema:{package}:{event_class.type}"
    message["title"] = event_class.type
    # Python 3.13 strips the indentation of docstrings, and earlier ones keep it.
    message["description"] = inspect.cleandoc(event_class.__doc__ or "")
    for open_object in (message, data):
        open_object["additionalProperties"] = True
    properties = message["properties"]
    properties["type"] = {"const": event_class.type}
    properties["source"] = {"const": f"/{event_class.producer}"}
    properties["datacontenttype"] = {
        "anyOf": [{"type": "string", "pattern": patterns.JSON_MEDIA_TYPE}, {"type": "null"}]
    }
    properties["data"] = data
    about = data["properties"].get(event_class.about, {})
    if "pattern" in about:  # what they have in common; a schema cannot say that both are the same
        properties["subject"] |= {key: about[key] for key in ("pattern", "format") if key in about}
    message["required"] = sorted({*message["required"], "data"})
    _end_with_the_text(message)
    return message


def _end_with_the_text(schema: Any) -> None:
    """Keep a line break off the end of each text: for Python and Java `$` also matches before one.

    Changes `schema`.
    """
    if isinstance(schema, list):
        for part in schema:
            _end_with_the_text(part)
    elif isinstance(schema, dict):
        for part in schema.values():
            _end_with_the_text(part)
        if isinstance(schema.get("pattern"), str) and schema["pattern"].endswith("$"):
            schema.setdefault("not", {"pattern": r"\n$"})


def as_text(schema: dict[str, Any]) -> str:
    """The schema as it is committed: sorted, so that a diff shows only real changes.

    A character that nobody sees is written as its escape.
    """
    text = json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False)
    return "\n".join(patterns.visible(line) for line in text.split("\n")) + "\n"


def write(contract: ContractPackage) -> Iterator[Path]:
    """Write the schemas that differ and the golden messages that are missing; yields what it wrote.

    Raises `ContractError` if no example of an event can be made.
    """
    for event in contract.events:
        schema = as_text(schema_of(event)).encode()
        path = contract.schema_path(event)
        if not path.exists() or path.read_bytes() != schema:
            yield _written(path, schema)
        path = contract.golden_path(event)
        if not path.exists():
            yield _written(path, example_of(event).to_json())


def faults(contract: ContractPackage) -> Iterator[str]:
    """What differs between the classes and the files, one sentence each."""
    for event in contract.events:
        path = contract.schema_path(event)
        if not path.exists():
            yield f"{event.type} has no schema: expected {path}"
        elif path.read_text(encoding="utf-8") != as_text(schema_of(event)):
            yield f"{path}: differs from the class {event.__name__}"
        for pattern, fault in _unportable(schema_of(event)):
            yield f"{event.type}: not every language compiles the pattern {pattern}: {fault}"
        yield from _golden_faults(contract, event)
    yield from _strays(contract)


def _unportable(schema: Any) -> Iterator[tuple[str, str]]:
    """Each pattern that not every language compiles, and what is wrong with it."""
    parts = schema.values() if isinstance(schema, dict) else schema
    for part in parts:
        if isinstance(part, dict | list):
            yield from _unportable(part)
    pattern = schema.get("pattern") if isinstance(schema, dict) else None
    if isinstance(pattern, str) and (fault := patterns.unportable(pattern)):
        yield pattern, fault


def _golden_faults(contract: ContractPackage, event: type[Event]) -> Iterator[str]:
    path = contract.golden_path(event)
    try:
        golden = contract.golden(event)
        again = Envelope.from_json(golden).to_json()
    except ContractError as error:
        yield str(error)
    except Malformed as error:
        yield f"{path}: {event.__name__} can no longer read it: {error}"
    else:
        if again != golden:
            yield f"{path}: {event.__name__} writes the same message in another way"


def _strays(contract: ContractPackage) -> Iterator[str]:
    """Files that belong to no event. Others, such as __init__.py, are none of ours."""
    for path_of in (contract.schema_path, contract.golden_path):
        expected = {path_of(event) for event in contract.events}
        for folder in {path.parent for path in expected if path.parent.exists()}:
            for path in sorted(set(folder.glob("*.json")) - expected):
                yield f"{path}: no event of {contract.name} has this type"


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path
