"""What third parties publish, and what the broker has confirmed of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from shared_contracts.topology import TOPOLOGY

MARK = "chaos"
"""The header by which poison is known again where it was set aside."""


@dataclass(frozen=True)
class Publication:
    """A message, to be published until the broker confirms it. `mark` is empty for a good one."""

    kind: str
    producer: str
    body: bytes
    mark: str = ""
    event_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Its AMQP headers."""
        return {MARK: self.mark} if self.mark else {}


@dataclass
class Published:
    """What the broker has confirmed."""

    by_kind: Counter[str] = field(default_factory=Counter)
    poison: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in TOPOLOGY})
    """Marks, by the service that must set the message aside."""
    requests: set[str] = field(default_factory=set)
    """Ids of the good events that third parties have made."""

    def confirm(self, publication: Publication) -> None:
        """Note that the broker has this message."""
        self.by_kind[publication.kind] += 1
        if publication.mark:
            [receiver] = set(TOPOLOGY) - {publication.producer}
            self.poison[receiver].add(publication.mark)
        if publication.event_id:
            self.requests.add(publication.event_id)
