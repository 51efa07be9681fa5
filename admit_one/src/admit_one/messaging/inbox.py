"""Each event reaches its use case once, however often it is delivered.

The inbox row and all that the handler writes are one transaction: both are kept, or neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q
from uuid_utils import uuid7

from admit_one.contract import Event
from admit_one.contract.envelope import Envelope, Seal
from admit_one.contract.errors import (
    Malformed,
    MessagingError,
    Rejected,
    Unauthenticated,
    UnknownEvent,
    UnknownKey,
    sent_by,
)
from admit_one.database import outage
from admit_one.database.bulk import insert_new
from admit_one.sealing import cipher

from . import peers, tombstones
from .conf import Handler
from .models import InboxMessage

Identity = tuple[str, str]
"""(event id, source): identifies an event forever."""


class Result(StrEnum):
    """What became of a message. The last four are set aside."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    """No handler or no key yet: a newer release or other settings may have it."""
    MALFORMED = "malformed"
    REFUSED = "refused"
    """Nothing proves who sent it."""
    REJECTED = "rejected"


@dataclass(frozen=True)
class Outcome:
    result: Result
    error: MessagingError | None = None


@dataclass(frozen=True)
class Received:
    """One message as it arrived, with its envelope, or the fault that made it unreadable."""

    body: bytes
    queue: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    signature: str = ""
    received_at: datetime | None = None
    """When it came first, if that is known; else now."""
    envelope: Envelope[Any] | None = None
    fault: Malformed | UnknownEvent | UnknownKey | None = None
    broken: str = ""
    """The fault of the AMQP properties, if they are unreadable."""

    @classmethod
    def read(
        cls,
        body: bytes,
        *,
        queue: str,
        headers: Mapping[str, Any] | None = None,
        broken: str = "",
        signature: str = "",
        received_at: datetime | None = None,
        unseal: Seal = peers.unseal,
    ) -> Received:
        """Read `body`, and keep its fault, if any. `broken` is a fault of its AMQP properties."""
        read = partial(cls, body, queue, headers or {}, signature, received_at)
        try:
            if broken:
                raise Malformed(broken)
            return read(Envelope.from_json(body, unseal))
        except (Malformed, UnknownEvent, UnknownKey) as fault:
            return read(fault=fault, broken=broken)
        except Exception as error:  # noqa: BLE001 (a bug of our reader must cost one message only)
            return read(fault=Malformed(f"reading it failed with {type(error).__name__}"))

    @property
    def identity(self) -> Identity | None:
        return (self.envelope.id, self.envelope.source) if self.envelope else None


def process(batch: Sequence[Received], handlers: Mapping[type[Event], Handler]) -> list[Outcome]:
    """Handle the new messages of `batch` in one transaction; returns an outcome for each, in order.

    Raises whatever a handler raises; then nothing of the batch is written.
    """
    outcomes: dict[int, Outcome] = {}
    places: dict[Identity, list[int]] = defaultdict(list)
    for position, message in enumerate(batch):
        outcome = _refusal(message, handlers)
        if outcome is not None:
            outcomes[position] = outcome
        elif message.identity is not None:
            places[message.identity].append(position)
    first = {identity: positions[0] for identity, positions in places.items()}
    # No savepoint: a caller with an open transaction rolls that back, too, when this raises.
    with transaction.atomic(savepoint=False):
        new = remember([batch[position] for position in first.values()])
        outcomes |= _repeated(batch, places, new.keys())
        fresh = [(batch[p].envelope, new[i]) for i, p in first.items() if i in new]
        rejected = _handle(tombstones.without_erased((e, gone) for e, gone in fresh if e), handlers)
        if rejected.keys() - new.keys():
            raise ValueError("a handler rejected a message that it was not given")
        _forget(rejected)
    for identity, position in first.items():
        if identity in rejected:
            outcomes[position] = Outcome(Result.REJECTED, rejected[identity])
        else:
            outcomes.setdefault(position, Outcome(Result.HANDLED))
    return [outcomes[position] for position in range(len(batch))]


def forget(message: Received) -> None:
    """Forget that `message`, with this body, was handled, so that it can be applied again."""
    if message.envelope is None:
        return
    same_id = InboxMessage.objects.filter(
        event_id=message.envelope.id, source=message.envelope.source
    )
    known = same_id.values_list("fingerprint", flat=True).first()
    if known is not None and cipher.matches(known, message.body):
        same_id.delete()


def database_works() -> bool:
    """Whether a new connection can write an inbox row, as for every message; it is rolled back."""
    event_id, probe = str(uuid7()), "probe"
    outage.forget_connection()
    try:
        with transaction.atomic():
            InboxMessage.objects.create(
                source=probe, event_id=event_id, type=probe, subject=probe, fingerprint=b""
            )
            transaction.set_rollback(True)
    except outage.DATABASE_ERRORS:
        outage.forget_connection()
        return False
    return True


def _refusal(message: Received, handlers: Mapping[type[Event], Handler]) -> Outcome | None:
    if isinstance(message.fault, Malformed):
        return Outcome(Result.MALFORMED, message.fault)
    if message.fault is not None:
        return Outcome(Result.UNKNOWN, message.fault)
    if message.envelope is not None and type(message.envelope.data) not in handlers:
        fault = UnknownEvent(
            f"nothing here handles {message.envelope.type}", sender=_sender(message)
        )
        return Outcome(Result.UNKNOWN, fault)
    return _unproven(message)


def _unproven(message: Received) -> Outcome | None:
    """The outcome of a signed event that its sender has not signed, or long ago; else none."""
    if message.envelope is None or not message.envelope.data.signed:
        return None
    try:
        peers.check_signature(
            message.envelope,
            message.body,
            message.signature,
            message.received_at or datetime.now(UTC),
        )
    except (Unauthenticated, UnknownKey) as fault:
        fault.sender = _sender(message)
        refused = isinstance(fault, Unauthenticated)
        return Outcome(Result.REFUSED if refused else Result.UNKNOWN, fault)
    return None


def remember(messages: Iterable[Received]) -> dict[Identity, bool]:
    """Write the inbox rows; returns the identities that are new, and whether each is about an
    erased subject. Until the transaction ends, no other subject is erased.
    """
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
    # Sorted: two consumers with overlapping batches in different orders would deadlock.
    rows.sort(key=lambda row: (row["event_id"], row["source"]))
    unique = ("event_id", "source")
    new = insert_new(
        InboxMessage, rows, conflict=unique, returning=unique, also=tombstones.erased()
    )
    return {(event_id, source): bool(is_erased) for event_id, source, is_erased in new}


def _repeated(
    batch: Sequence[Received], places: Mapping[Identity, Sequence[int]], new: Collection[Identity]
) -> dict[int, Outcome]:
    """Outcomes of the messages handled before, and of all but the first one of an id in the batch.

    Each is compared with the handled one: a forgery may precede the true duplicate in a batch.
    """
    known = _fingerprints(places.keys() - set(new)) if len(new) < len(places) else {}
    outcomes: dict[int, Outcome] = {}
    for identity, positions in places.items():
        if identity in new:
            handled = batch[positions[0]].body
            for position in positions[1:]:
                outcomes[position] = _repetition(batch[position], batch[position].body == handled)
            continue
        for position in positions:
            # Not known if it was pruned just now: it was handled all the same.
            same = identity not in known or cipher.matches(known[identity], batch[position].body)
            outcomes[position] = _repetition(batch[position], same)
    return outcomes


def _fingerprints(identities: Iterable[Identity]) -> dict[Identity, bytes]:
    rows = InboxMessage.objects.filter(event_id__in=[event_id for event_id, _ in identities])
    return {(i, s): bytes(f) for i, s, f in rows.values_list("event_id", "source", "fingerprint")}


def _repetition(message: Received, same: bool) -> Outcome:
    if same:
        return Outcome(Result.DUPLICATE)
    text = "its id was used before, for another body: not a duplicate"
    return Outcome(Result.MALFORMED, Malformed(text, sender=_sender(message)))


def _sender(message: Received) -> str:
    envelope = message.envelope
    return sent_by(envelope.type, envelope.source) if envelope else ""


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
    """A rejected message was not handled, so a replay of it is no duplicate."""
    if not rejected:
        return
    these = Q()
    for event_id, source in rejected:
        these |= Q(event_id=event_id, source=source)
    InboxMessage.objects.filter(these).delete()
