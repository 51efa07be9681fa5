"""What third parties publish, and which of it the broker has confirmed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from shared_contracts.topology import TOPOLOGY

MARK = "chaos"
"""The header that marks a poison message, also where it is set aside."""


@dataclass(frozen=True)
class Publication:
    """A message that is published until the broker confirms it. Only poison has a `mark`."""

    kind: str
    producer: str
    body: bytes
    mark: str = ""
    event_id: str = ""
    victim: str = ""
    """The subscription whose event has the same id."""

    @property
    def headers(self) -> dict[str, str]:
        return {MARK: self.mark} if self.mark else {}


@dataclass
class Published:
    """The messages that the broker has confirmed."""

    by_kind: Counter[str] = field(default_factory=Counter)
    poison: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in TOPOLOGY})
    """Marks, by the service that must set the message aside."""
    victims: dict[str, str] = field(default_factory=dict)
    """Subscriptions by the marks of the messages that use the id of their event."""
    requests: set[str] = field(default_factory=set)
    """Ids of the valid requests that third parties made."""

    def confirm(self, publication: Publication) -> None:
        self.by_kind[publication.kind] += 1
        if publication.mark:
            [receiver] = set(TOPOLOGY) - {publication.producer}
            self.poison[receiver].add(publication.mark)
        if publication.victim:
            self.victims[publication.mark] = publication.victim
        if publication.event_id:
            self.requests.add(publication.event_id)
