"""Tells a message that comes again from another one that has taken its id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from admit_one.contract.errors import Malformed
from admit_one.sealing import cipher

from .models import InboxMessage
from .outcomes import Outcome, Result
from .received import Identity, Received


def repeated(
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
    return Outcome(Result.MALFORMED, Malformed(text, sender=message.sender))
