"""The contract as files that other teams and other languages can use.

    python -m admit_one.contract.schemas        writes schemas/ anew from the event classes

`schemas/<type>.schema.json` is the JSON Schema (2020-12) of the whole message.
`golden/<type>.json` is one message of that version as it was first sent, byte for byte. It is
written once and never again: a consumer that cannot read it any more has broken the contract.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from shared_contracts.events import EVENTS, Event

from .envelope import Attributes

HERE = Path(str(resources.files("shared_contracts")))


def schema_of(event_class: type[Event]) -> dict[str, Any]:
    """What a message of `event_class` looks like; other fields are allowed and ignored."""
    message = Attributes.model_json_schema()
    data = event_class.model_json_schema(mode="validation")
    if parts := data.pop("$defs", None):
        message["$defs"] = parts
    message["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    message["$id"] = f"urn:admit-one:{event_class.type}"
    message["title"] = event_class.type
    message["description"] = event_class.__doc__
    for open_object in (message, data):
        open_object["additionalProperties"] = True
    properties = message["properties"]
    properties["type"] = {"const": event_class.type}
    properties["source"] = {"const": f"/{event_class.producer}"}
    properties["datacontenttype"] = {"const": "application/json"}
    properties["data"] = data
    message["required"] = sorted({*message["required"], "specversion", "data"} - {"correlationid"})
    return message


def schema_path(event_type: str) -> Path:
    return HERE / "schemas" / f"{event_type}.schema.json"


def as_text(schema: dict[str, Any]) -> str:
    """The schema as it is committed: sorted, so that a difference is a difference."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def golden(event_type: str) -> bytes:
    """The golden message of this event version, as bytes."""
    return (HERE / "golden" / f"{event_type}.json").read_bytes()


def write_schemas() -> None:
    for event_type, event_class in EVENTS.items():
        schema_path(event_type).write_text(as_text(schema_of(event_class)), encoding="utf-8")


if __name__ == "__main__":
    write_schemas()
