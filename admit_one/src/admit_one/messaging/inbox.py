"""Each event reaches its use case once, however often it is delivered.

The inbox row and all that the handler writes are one transaction: either both stay or neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Q

from admit_one.contract import Event
from admit_one.contract.envelope import Envelope
from admit_one.contract.errors import Malformed, MessagingError, Rejected, UnknownEvent
from admit_one.database.bulk import insert_new
from admit_one.sealing import cipher

from .conf import Handler
from .models import InboxMessage

Identity = tuple[str, str]
"""(event id, source): what names an event for ever."""


class Result(StrEnum):
    """What became of a message. The last three are to be set aside."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    """No handler yet: a newer release may have one."""
    MALFORMED = "malformed"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Outcome:
    result: Result
    error: MessagingError | None = None


@dataclass(frozen=True)
class Received:
    """One message as it came, read as far as it can be."""

    body: bytes
    queue: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    envelope: Envelope[Any] | None = None
    fault: Malformed | UnknownEvent | None = None
    broken: str = ""
    """The fault, if it is one of the properties: the body does not show it."""

    @classmethod
    def read(
        cls,
        body: bytes,
        *,
        queue: str,
        headers: Mapping[str, Any] | None = None,
        broken: str = "",
    ) -> Received:
        """Read `body`; its fault is kept. `broken` is a fault of the properties around it."""
        try:
            if broken:
                raise Malformed(broken)
            envelope = Envelope.from_json(body)
        except (Malformed, UnknownEvent) as fault:
            return cls(body, queue, headers or {}, fault=fault, broken=broken)
        except Exception as error:  # noqa: BLE001 (a fault of our reader must cost one message only)
            unread = Malformed(f"reading it failed with {type(error).__name__}")
            return cls(body, queue, headers or {}, fault=unread)
        return cls(body, queue, headers or {}, envelope=envelope)

    @property
    def identity(self) -> Identity | None:
        return (self.envelope.id, self.envelope.source) if self.envelope else None


def process(batch: Sequence[Received], handlers: Mapping[type[Event], Handler]) -> list[Outcome]:
    """Handle the new ones of `batch` in one transaction; returns an outcome for each, in order.

    Raises whatever a handler raises; then nothing of the batch is written.
    """
    outcomes: dict[int, Outcome] = {}
    places: dict[Identity, list[int]] = defaultdict(list)
    for position, message in enumerate(batch):
        outcome = _unfit(message, handlers)
        if outcome is not None:
            outcomes[position] = outcome
        elif message.identity is not None:
            places[message.identity].append(position)
    first = {identity: positions[0] for identity, positions in places.items()}
    # No savepoint: whoever has a transaction open gives it up too when this raises.
    with transaction.atomic(savepoint=False):
        new = remember([batch[position] for position in first.values()])
        outcomes |= _repetitions(batch, places, new)
        fresh = [batch[p].envelope for i, p in first.items() if i in new]
        rejected = _handle((e for e in fresh if e is not None), handlers)
        _forget(rejected)
    for identity, position in first.items():
        if identity in rejected:
            outcomes[position] = Outcome(Result.REJECTED, rejected[identity])
        else:
            outcomes.setdefault(position, Outcome(Result.HANDLED))
    return [outcomes[position] for position in range(len(batch))]


def forget(message: Received) -> None:
    """Forget that `message` was handled, so that it can be applied again; another body stays."""
    if message.envelope is None:
        return
    same_id = InboxMessage.objects.filter(
        event_id=message.envelope.id, source=message.envelope.source
    )
    known = same_id.values_list("fingerprint", flat=True).first()
    if known is not None and cipher.matches(known, message.body):
        same_id.delete()


def _unfit(message: Received, handlers: Mapping[type[Event], Handler]) -> Outcome | None:
    if isinstance(message.fault, Malformed):
        return Outcome(Result.MALFORMED, message.fault)
    if message.fault is not None:
        return Outcome(Result.UNKNOWN, message.fault)
    if message.envelope is not None and type(message.envelope.data) not in handlers:
        fault = UnknownEvent(f"nothing here handles {message.envelope.type}")
        return Outcome(Result.UNKNOWN, fault)
    return None


def remember(messages: Iterable[Received]) -> set[Identity]:
    """Write the inbox rows; returns the ids that were not there before."""
    rows = [
        {
            "event_id": message.envelope.id,
            "source": message.envelope.source,
            "type": message.envelope.type,
            "subject": message.envelope.subject,
            "fingerprint": cipher.fingerprint(message.body),
        }
        for message in messages
        if message.envelope is not None
    ]
    # Sorted, as two consumers with overlapping batches in other orders would deadlock.
    rows.sort(key=lambda row: (row["event_id"], row["source"]))
    unique = ("event_id", "source")
    return {(i, s) for i, s in insert_new(InboxMessage, rows, conflict=unique, returning=unique)}


def _repetitions(
    batch: Sequence[Received], places: Mapping[Identity, Sequence[int]], new: set[Identity]
) -> dict[int, Outcome]:
    """Those that were handled before, and those that stand behind the first one of their id.

    What was handled is what is compared with: in a batch, a forgery may stand before the copy.
    """
    known = _fingerprints(places.keys() - new) if len(new) < len(places) else {}
    outcomes: dict[int, Outcome] = {}
    for identity, positions in places.items():
        if identity in new:
            handled = batch[positions[0]].body
            for position in positions[1:]:
                outcomes[position] = _repetition(same=batch[position].body == handled)
            continue
        for position in positions:
            # Pruned between the two statements? It was handled long ago all the same.
            same = identity not in known or cipher.matches(known[identity], batch[position].body)
            outcomes[position] = _repetition(same=same)
    return outcomes


def _fingerprints(identities: Iterable[Identity]) -> dict[Identity, bytes]:
    rows = InboxMessage.objects.filter(event_id__in=[event_id for event_id, _ in identities])
    return {(i, s): bytes(f) for i, s, f in rows.values_list("event_id", "source", "fingerprint")}


def _repetition(*, same: bool) -> Outcome:
    if same:
        return Outcome(Result.DUPLICATE)
    return Outcome(
        Result.MALFORMED, Malformed("its id was seen before with another body: not a repetition")
    )


def _handle(
    envelopes: Iterable[Envelope[Any]], handlers: Mapping[type[Event], Handler]
) -> dict[Identity, Rejected]:
    by_class: dict[type[Event], list[Envelope[Any]]] = defaultdict(list)
    for envelope in envelopes:
        by_class[type(envelope.data)].append(envelope)
    rejected: dict[Identity, Rejected] = {}
    for event_class, messages in by_class.items():
        for refusal in handlers[event_class](messages) or ():
            rejected[refusal.envelope.id, refusal.envelope.source] = refusal
    return rejected


def _forget(rejected: Mapping[Identity, Rejected]) -> None:
    """A rejected message was not handled: a replay of it is not a repetition."""
    if not rejected:
        return
    these = Q()
    for event_id, source in rejected:
        these |= Q(event_id=event_id, source=source)
    InboxMessage.objects.filter(these).delete()
