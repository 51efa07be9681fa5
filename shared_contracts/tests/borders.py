"""The borders of the contract, as the table of docs/events.md has them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admit_one.contract import Envelope
from admit_one.contract.envelope import Attributes
from admit_one.contract.errors import Malformed, UnknownEvent
from admit_one.contract.package import ContractPackage
from shared_contracts.events import UserSubscribed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"
CONTRACT = ContractPackage("shared_contracts")
ABSENT = object()

Message = dict[str, Any]


@dataclass(frozen=True)
class Border:
    """One value of one attribute or field, and whether the page accepts it."""

    name: str
    value: Any
    is_accepted: bool

    def __str__(self) -> str:
        return f"{self.name} {'absent' if self.value is ABSENT else json.dumps(self.value)}"

    def message(self) -> Message:
        """A `user_subscribed` that is good but for this value."""
        message: Message = json.loads(CONTRACT.golden(UserSubscribed))
        put(message, (self.name,) if self.name in ATTRIBUTES else ("data", self.name), self.value)
        return message


ATTRIBUTES = {*Attributes.model_fields, "datacontenttype", "data"}


def borders() -> list[Border]:
    """Every value of the table."""
    table = PAGE.read_text(encoding="utf-8").partition("Accepted, for example")[2]
    return [
        Border(name, value, is_accepted)
        for line in table.partition("\n\n")[0].splitlines()[2:]
        for names, *cells in [[cell.strip() for cell in line.strip("|").split("|")]]
        for name in re.findall(r"`(\w+)`", names)
        for cell, is_accepted in zip(cells, (True, False), strict=True)
        for value in _values(cell)
    ]


def _values(cell: str) -> Iterator[Any]:
    values = [json.loads(text) for text in re.findall(r"`([^`]+)`", cell)]
    yield from values
    if "absent" in cell:
        yield ABSENT
    if "the same in capitals" in cell:
        yield values[0].upper()


def put(message: Message, path: tuple[Any, ...], value: Any) -> None:
    """Change one place of `message`; the subject follows the field that it repeats, and back."""
    about = next(e.about for e in CONTRACT.events if e.type == message["type"])
    same = [("subject",), ("data", about)]
    for place in same if path in same else [path]:
        part: Any = message
        for key in place[:-1]:
            part = part[key]
        if value is ABSENT and isinstance(part, dict):
            part.pop(place[-1], None)
        elif value is ABSENT:
            del part[place[-1]]
        else:
            part[place[-1]] = value


def reader_accepts(message: Message) -> bool:
    """Whether the services read it."""
    try:
        Envelope.from_json(json.dumps(message).encode())
    except (Malformed, UnknownEvent):
        return False
    return True
