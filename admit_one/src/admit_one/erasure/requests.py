"""Asks the other side to erase subjects until it has answered, and answers what it asks.

Whoever has a tombstone repeats its request when it finds that the other side has lost its own, as
after an older backup was restored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from admit_one.contract import Envelope
from admit_one.database import bulk
from admit_one.logs import EventLogger
from admit_one.messaging import conf, publish, wake
from admit_one.messaging.tombstones import Tombstone

from .definition import definition

logger = EventLogger(__name__)

BATCH = 200
"""Tombstones in one transaction."""

AGAIN_AFTER = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
"""How long to wait for the answer to each request before the next; the last one repeats."""

EARLIEST = datetime.min.replace(tzinfo=UTC)

ERASE_TASK = "erase_requested"
"""The service's task that calls `erasing.erase_due`."""


def put(subjects: Sequence[str], erasure_id: UUID, *, request_id: str = "") -> None:
    """Write tombstones, whose subjects are erased by `erasing.erase_due`. Those that stand stay."""
    bulk.insert_new(
        Tombstone,
        [
            {"subject": subject, "erasure_id": erasure_id, "last_request_id": request_id}
            for subject in sorted(subjects)
        ],
        conflict=["subject"],
        returning=["subject"],
    )


def ask(subjects: Iterable[str]) -> None:
    """Ask the other side to erase these subjects, which have tombstones here. In a transaction."""
    stones = Tombstone.objects.filter(subject__in=subjects).order_by("subject")
    _ask(list(stones.select_for_update(no_key=True)))


def request_again(since: datetime | None) -> int:
    """Request again all that is erased here, or was since then; returns how much that is.

    For the side that was not restored: the other one may have lost its tombstones.
    """
    stones = Tombstone.objects.filter(erased_at__gte=since or EARLIEST).order_by("subject")
    requested, last = 0, ""
    while batch := list(stones.filter(subject__gt=last).values_list("subject", flat=True)[:BATCH]):
        with transaction.atomic():
            ask(batch)
        requested, last = requested + len(batch), batch[-1]
    return requested


def repeat() -> int:
    """Repeat a batch of the requests that have waited too long; returns how many."""
    with transaction.atomic():
        due = Tombstone.objects.to_ask().select_for_update(skip_locked=True, no_key=True)[:BATCH]
        _ask(list(due))
    if due:
        logger.warning(
            "erasures_requested_again",
            "repeated the requests to erase {subjects} subjects, which waited too long",
            subjects=len(due),
        )
    return len(due)


def _ask(stones: Sequence[Tombstone]) -> None:
    make, now = definition().request, timezone.now()
    for stone in stones:
        event = make(stone.subject, stone.erasure_id)
        request = Envelope.of(event, cause=stone.last_request_id or None)
        publish(request)
        delay = AGAIN_AFTER[min(stone.requests, len(AGAIN_AFTER) - 1)]
        stone.last_request_id, stone.requests = request.id, stone.requests + 1
        stone.next_request_at, stone.answered_at = now + delay, None
        stone.save(update_fields=["last_request_id", "requests", "next_request_at", "answered_at"])


def accept(messages: Sequence[Envelope[Any]]) -> None:
    """Let the subject of each request be erased, and answer those that are. A handler.

    A task erases them: whoever erases holds all others up, and must not wait for a batch.
    """
    for message in messages:
        put([message.data.subject], message.data.erasure_id, request_id=message.id)
    known = Tombstone.objects.in_bulk([message.data.subject for message in messages])
    for message in messages:
        stone = known[message.data.subject]
        if stone.erased_at is None:
            wake_eraser()
        else:
            publish(message.follow(_answer(stone, stone.erased_at)))


def wake_eraser() -> None:
    """Wake the service's task that erases what was put."""
    wake.task(f"{conf.current().service.name}.{ERASE_TASK}")


def answer(stones: Iterable[Tombstone]) -> None:
    """Answer that these are erased now. Runs in the transaction that has erased them."""
    now = timezone.now()
    for stone in stones:
        publish(Envelope.of(_answer(stone, now), cause=stone.last_request_id or None))


def _answer(stone: Tombstone, at: datetime) -> Any:
    return definition().answer(stone.subject, stone.erasure_id, at)


def note_answers(messages: Sequence[Envelope[Any]]) -> None:
    """Ask no more about what the other side has erased. A handler."""
    subjects = [message.data.subject for message in messages]
    asked = Tombstone.objects.filter(subject__in=subjects, answered_at__isnull=True)
    asked.update(answered_at=Now(), next_request_at=None, requests=0)


def remind(messages: Sequence[Envelope[Any]]) -> None:
    """Ask about subjects of which the other side still tells, although it knew. `ON_ERASED`.

    Not of those about which it has to answer: it is asked until it does.
    """
    latest: dict[str, datetime] = {}
    for message in messages:
        subject = message.subject
        latest[subject] = max(message.time, latest.get(subject, message.time))
    stones = Tombstone.objects.filter(subject__in=latest, next_request_at__isnull=True)
    knew = [
        stone.subject
        for stone in stones
        if stone.erased_at is not None
        and latest[stone.subject] > (stone.answered_at or stone.erased_at)
    ]
    if knew:
        ask(knew)
