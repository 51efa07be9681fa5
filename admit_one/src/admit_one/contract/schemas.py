"""A contract as files for other teams and other languages: JSON Schemas and golden messages.

`schemas/<type>.schema.json` is the JSON Schema (2020-12) of the whole message, and follows the
class. `golden/<type>.json` is one message as it was first sent, byte for byte. It is written once
and never again: a consumer that can no longer read it has broken the contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    message["$id"] = f"urn:{event_class.__module__.partition('.')[0]}:{event_class.type}"
    message["title"] = event_class.type
    message["description"] = event_class.__doc__ or ""
    for open_object in (message, data):
        open_object["additionalProperties"] = True
    properties = message["properties"]
    properties["type"] = {"const": event_class.type}
    properties["source"] = {"const": f"/{event_class.producer}"}
    properties["datacontenttype"] = {"const": "application/json"}
    properties["data"] = data
    message["required"] = sorted({*message["required"], "specversion", "data"} - {"correlationid"})
    return message


def as_text(schema: dict[str, Any]) -> str:
    """The schema as it is committed: sorted, so that a difference is a difference."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


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
    """What differs between the classes and the files, a sentence each."""
    for event in contract.events:
        path = contract.schema_path(event)
        if not path.exists():
            yield f"{event.type} has no schema: expected {path}"
        elif path.read_text(encoding="utf-8") != as_text(schema_of(event)):
            yield f"{path}: differs from the class {event.__name__}"
        yield from _golden_faults(contract, event)
    yield from _strays(contract)


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
    """Files that belong to no event."""
    for path_of in (contract.schema_path, contract.golden_path):
        expected = {path_of(event) for event in contract.events}
        for folder in {path.parent for path in expected if path.parent.exists()}:
            for path in sorted(set(folder.iterdir()) - expected):
                yield f"{path}: no event of {contract.name} has this type"


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path
