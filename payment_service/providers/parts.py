"""Reads JSON of a third party part by part, and names what is not as expected, never its value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from admit_one.contract.errors import Malformed

LONGEST_ID = 255
"""Characters of a provider's id or type."""

LATEST = datetime(9998, 1, 1, tzinfo=UTC)
"""Times may be added to it, and it is in the year 9999 or before in every time zone."""

ID = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_ID}}}")


class Part:
    """A JSON object within another. Raises `Malformed` for what is missing or of another kind."""

    def __init__(self, value: object, path: str = "") -> None:
        self._path = path
        if not isinstance(value, dict):
            raise Malformed(f"{path or 'body'}: expected an object")
        self.value: dict[str, Any] = value

    def __contains__(self, name: str) -> bool:
        """Whether there is something of this name; null is nothing."""
        return self.value.get(name) is not None

    def part(self, name: str) -> Part:
        return Part(self.value.get(name), self._at(name))

    def part_or_empty(self, name: str) -> Part:
        """The same; an empty one if there is none."""
        return self.part(name) if name in self else Part({}, self._at(name))

    def parts(self, name: str) -> Iterator[Part]:
        """The objects of an array."""
        values = self.value.get(name)
        if not isinstance(values, list):
            raise Malformed(f"{self._at(name)}: expected an array")
        return (Part(value, f"{self._at(name)}[{n}]") for n, value in enumerate(values))

    def texts(self, *paths: str) -> tuple[str, ...]:
        """What stands at these paths, such as `a.b`. Whatever is no text or number is left out."""
        values = (self._at_path(path) for path in paths)
        texts = (str(each).strip() for each in values if type(each) in {str, int})
        return tuple(filter(None, texts))

    def _at_path(self, path: str) -> object:
        value: object = self.value
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def id(self, name: str) -> str:
        """A name among programs: visible ASCII."""
        value = self.value.get(name)
        if not isinstance(value, str) or not ID.fullmatch(value):
            expected = f"an id of 1 to {LONGEST_ID} visible ASCII characters"
            raise Malformed(f"{self._at(name)}: expected {expected}")
        return value

    def id_or_none(self, name: str) -> str | None:
        return self.id(name) if name in self else None

    def whole(self, name: str) -> int:
        value = self.value.get(name)
        if type(value) is not int:
            raise Malformed(f"{self._at(name)}: expected an integer")
        return value

    def yes(self, name: str) -> bool:
        value = self.value.get(name)
        if not isinstance(value, bool):
            raise Malformed(f"{self._at(name)}: expected true or false")
        return value

    def seconds(self, name: str) -> datetime:
        """A time in seconds since 1970."""
        value = self.whole(name)
        if not 0 <= value < LATEST.timestamp():
            raise Malformed(f"{self._at(name)}: expected seconds since 1970, before the year 9998")
        return datetime.fromtimestamp(value, UTC)

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name
