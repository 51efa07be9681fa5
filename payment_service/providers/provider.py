"""What a payment provider is to us. Another one is a class with these methods, in its own file.

It is listed in `registry`, and its address is then `POST /v1/webhooks/{name}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from admit_one.erasure.definition import Person

from .commands import Command
from .parts import Part


class Forged(Exception):
    """The body is not signed by the provider, or long ago. The message says what to expect."""


class OtherVersion(Exception):
    """The event is of a version that we do not read. The message says what was expected and got."""


@dataclass(frozen=True)
class Event:
    """What every event of every provider has."""

    id: str
    """The same each time that the provider sends it."""
    type: str
    created_at: datetime
    """By the provider's clock."""
    test: bool
    """Whether it is about no real money."""
    content: Part
    """What `Provider.command` reads; of two events with one id it must make the same."""


class Provider(Protocol):
    """The methods raise what they say, and nothing else for anything that is sent."""

    name: str
    """1 to 32 characters, the last part of its address."""

    def is_on(self) -> bool:
        """Whether its settings are there."""

    def client(self) -> str:
        """The API client that owns what it reports."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Check the signature of a body as it was sent. Raises `Forged`."""

    def read(self, body: bytes) -> Event:
        """The event. Raises `Malformed` (also for `Part`'s faults) and `OtherVersion`."""

    def command(self, event: Event) -> Command:
        """What it comes to. Raises `Malformed` if its content is not as expected."""

    def person(self, event: Event) -> Person:
        """The user ids of `client` and the addresses that it names, as it spells them.

        Raises nothing: what is not as expected names nobody.
        """

    def recurs(self, external_id: str) -> bool:
        """Whether this id of theirs is of something that they charge for again and again."""
