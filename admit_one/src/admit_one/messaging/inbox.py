"""Each event reaches its use case once, however often it is delivered.

The inbox row and all that the handler writes are one transaction: both are kept, or neither.

| Module | What it answers |
|---|---|
| `received` | what has arrived |
| `outcomes` | what can become of it, and whether any handler may see it |
| `repetitions` | whether it was handled before, or is another message with its id |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from uuid_utils import uuid7

from admit_one.contract import Event
from admit_one.contract.envelope import Envelope
from admit_one.contract.errors import Rejected
from admit_one.database import outage
from admit_one.database.bulk import insert_new
from admit_one.sealing import cipher

from . import tombstones
from .conf import Handler
from .models import InboxMessage
from .outcomes import Outcome, Result, refusal
from .received import Identity, Received
from .repetitions import repeated

__all__ = ["Outcome", "Received", "Result", "database_works", "forget", "process", "remember"]


def process(batch: Sequence[Received], handlers: Mapping[type[Event], Handler]) -> list[Outcome]:
    """Handle the new messages of `batch` in one transaction; returns an outcome for each, in order.

    Raises whatever a handler raises; then nothing of the batch is written.
    """
    outcomes: dict[int, Outcome] = {}
    places: dict[Identity, list[int]] = defaultdict(list)
    for position, message in enumerate(batch):
        outcome = refusal(message, handlers)
        if outcome is not None:
            outcomes[position] = outcome
        elif message.identity is not None:
            places[message.identity].append(position)
    first = {identity: positions[0] for identity, positions in places.items()}
    # No savepoint: a caller with an open transaction rolls that back, too, when this raises.
    with transaction.atomic(savepoint=False):
        new = remember([batch[position] for position in first.values()])
        outcomes |= repeated(batch, places, new.keys())
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


def _handle(
    envelopes: Iterable[Envelope[Any]], handlers: Mapping[type[Event], Handler]
) -> dict[Identity, Rejected]:
    by_class: dict[type[Event], list[Envelope[Any]]] = defaultdict(list)
    for envelope in envelopes:
        by_class[type(envelope.data)].append(envelope)
    rejected: dict[Identity, Rejected] = {}
    for event_class, messages in by_class.items():
        for fault in handlers[event_class](messages) or ():
            rejected[fault.envelope.id, fault.envelope.source] = fault
    return rejected


def _forget(rejected: Mapping[Identity, Rejected]) -> None:
    """A rejected message was not handled, so a replay of it is no duplicate."""
    if not rejected:
        return
    these = Q()
    for event_id, source in rejected:
        these |= Q(event_id=event_id, source=source)
    InboxMessage.objects.filter(these).delete()


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
