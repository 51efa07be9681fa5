"""Erases subjects: one transaction with their tombstones, whatever else is under way.

If the process dies before the commit, nothing is erased, and the command or the task does it
again. After the commit, all that could tell about a subject finds its tombstone, or its rows blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models.functions import Now

from admit_one.acts.models import Act
from admit_one.logs import EventLogger
from admit_one.messaging import tombstones
from admit_one.messaging.tombstones import Tombstone
from admit_one.processes.stopping import Stop, next_delay
from admit_one.wiring import wired

from . import requests
from .definition import Eraser, definition
from .library import LIBRARY, Searched, erase_searched, search

logger = EventLogger(__name__)

AREA = "persons"
"""Of the acts that are on record."""

BATCH = 100
"""Subjects in one transaction: others wait for it."""

TRIES = 5
"""Attempts to get the locks; each holds others up for two seconds at most."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds between them."""


class Outdated(OperationalError):
    """What was searched before the lock is not all any more: others have erased meanwhile."""


def erasers() -> Sequence[Eraser]:
    """The service's own, then the library's: those end with what the service's have caused."""
    own: Sequence[Eraser] = wired("ERASERS", ())
    return (*own, *LIBRARY)


def begin(
    subjects: Sequence[str], erasure_id: UUID, *, by: str | None, again: bool = False
) -> None:
    """Erase these subjects here, and ask the other side to. What is erased already stays so, or
    with `again` what could not be opened then is erased.

    Batch by batch; done again after it was stopped, it goes on. Raises `OperationalError` if
    others have held a lock all the time.
    """
    for start in range(0, len(subjects), BATCH):
        _patiently(sorted(subjects[start : start + BATCH]), erasure_id, by, again=again)


def _patiently(batch: Sequence[str], erasure_id: UUID, by: str | None, *, again: bool) -> None:
    searched = _search(batch)
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic():
                _begin(batch, erasure_id, by, searched, again=again)
        except OperationalError as error:
            if attempt == TRIES:
                raise
            if isinstance(error, Outdated):
                searched = _search(batch)
                continue
            Stop().wait(next_delay(attempt, first=FIRST_PAUSE, most=LONGEST_PAUSE))
        else:
            return


def _search(batch: Sequence[str]) -> Searched:
    return search(batch, definition().belonging(batch))


def _check(batch: Sequence[str], searched: Searched) -> None:
    """Raises `Outdated` if more belongs to these by now: of two seats of an order, each erased by
    itself, only the second one knows that the order has no other."""
    if set(definition().belonging(batch)) - set(searched.names):
        raise Outdated("others have erased meanwhile what belongs to these")


def _begin(
    batch: Sequence[str],
    erasure_id: UUID,
    by: str | None,
    searched: Searched,
    *,
    again: bool = False,
) -> None:
    tombstones.lock_all()
    requests.put(batch, erasure_id)
    _check(batch, searched)
    due = list(Tombstone.objects.to_erase().filter(subject__in=batch))
    _erase(batch if again else [stone.subject for stone in due], searched)
    # Whoever asked us for some of these waits for our answer, and has erased them.
    requests.answer(stone for stone in due if stone.erasure_id != erasure_id)
    requests.ask([stone.subject for stone in due if stone.erasure_id == erasure_id])
    act = Act.draft(AREA, "erase", by=by, target=erasure_id, facts={"subjects": list(batch)})
    act.result = "done"
    act.save()


def erase_due() -> bool:
    """Erase a batch of what the other side has asked for, and answer; whether there was any."""
    batch = [stone.subject for stone in Tombstone.objects.to_erase()[:BATCH]]
    if not batch:
        return False
    searched = _search(batch)
    with suppress(Outdated), transaction.atomic():
        tombstones.lock_all()
        _check(batch, searched)
        due = list(Tombstone.objects.to_erase().filter(subject__in=batch))
        _erase([stone.subject for stone in due], searched)
        requests.answer(due)
    return True


def _erase(subjects: Sequence[str], searched: Searched) -> None:
    if not subjects:
        return
    for eraser in erasers():
        eraser.erase(subjects)
    erase_searched(subjects, searched)
    new = Tombstone.objects.filter(subject__in=subjects, erased_at__isnull=True)
    new.update(erased_at=Now())
    logger.warning(
        "subjects_erased", "erased what was kept about {subjects} subjects", subjects=len(subjects)
    )
