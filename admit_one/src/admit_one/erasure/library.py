"""What the library's own tables keep about subjects, and how it is erased.

Ids, types and times stay: they are the audit log of messages, and of people.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Max, QuerySet

from admit_one.acts import words
from admit_one.acts.models import Act
from admit_one.database import clock
from admit_one.messaging.models import (
    OUTBOX_PURPOSE,
    SET_ASIDE_PURPOSE,
    InboxMessage,
    OutboxMessage,
    SetAside,
    SetAsideQuerySet,
)
from admit_one.messaging.set_aside import blanking
from admit_one.messaging.set_aside.acts import AREA as SET_ASIDE
from admit_one.messaging.tombstones import Tombstone, about_erasures
from admit_one.sealing import cipher
from admit_one.sealing.keyring import sealing_keys

from .definition import Eraser

NO_FINGERPRINT = b""
"""Of a message that was handled: any body with its id counts as a duplicate of it."""

WINDOW = 5_000
"""First answers that are searched together."""

LONGEST_TRANSACTION = timedelta(minutes=2)
"""What began earlier has written its rows, or was rolled back."""

GONE = 410


def messages(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """The messages about these subjects; those about their erasure go on."""
    outbox, inbox, set_aside = _messages(subjects)
    yield outbox
    yield inbox
    yield set_aside | SetAside.objects.filter(pk__in=_unreadable(subjects, SetAside.objects.all()))


def _messages(
    subjects: Sequence[str],
) -> tuple[QuerySet[OutboxMessage], QuerySet[InboxMessage], SetAsideQuerySet]:
    """Those whose subject is known."""
    others = about_erasures()
    return (
        OutboxMessage.objects.filter(subject__in=subjects).exclude(type__in=others),
        InboxMessage.objects.filter(subject__in=subjects),
        blanking.not_blank().filter(subject__in=subjects).exclude(type__in=others),
    )


def _unreadable(subjects: Sequence[str], rows: SetAsideQuerySet) -> list[int]:
    """Of the set-aside messages whose subject was never readable: the ids in their bodies tell."""
    names = [subject.encode() for subject in subjects]
    ids = []
    unreadable = rows.filter(pk__in=blanking.not_blank().filter(subject=""))
    for row in unreadable.only("pk", "body", "delivery").iterator():
        try:
            body = cipher.unseal(row.body, SET_ASIDE_PURPOSE, row.delivery).lower()
        except cipher.Unsealable:
            continue  # `erase_person begin --again` finds it once its key is back
        if any(name in body for name in names):
            ids.append(row.pk)
    return ids


def unopened() -> int:
    """How many unreadable messages no key opens: whom they are about is not known."""
    rows = blanking.not_blank().filter(subject="").values_list("body", flat=True)
    keys = sealing_keys()
    return sum(cipher.key_id(body) not in keys for body in rows.iterator())


def erase_messages(subjects: Sequence[str]) -> None:
    """Withdraw what is not published, and blank the rest."""
    outbox, inbox, set_aside = _messages(subjects)
    outbox.filter(published_at__isnull=True).delete()
    for event_id in outbox.values_list("event_id", flat=True):
        blank = cipher.seal(blanking.BLANK, OUTBOX_PURPOSE, event_id)
        outbox.filter(event_id=event_id).update(body=blank, signature="", last_error="")
    inbox.update(fingerprint=NO_FINGERPRINT)
    blanking.blank(set_aside)


class Searched(NamedTuple):
    """What no index finds, and was searched for before others had to wait."""

    names: Sequence[str]
    """The subjects, and what belongs to them."""
    answers: Sequence[int]
    """First answers of the API that have one of these names."""
    set_aside: Sequence[int]
    """Unreadable messages that have one of the subjects."""
    since: datetime
    """When the search began, by the database's clock: what is later was not looked at."""


def search(subjects: Sequence[str], belonging: Collection[str] = ()) -> Searched:
    """Search what no index finds, for `erase_searched`, outside of its transaction."""
    names = [*subjects, *belonging]
    now = clock.now()
    return Searched(
        names, _search_answers(names), _unreadable(subjects, SetAside.objects.all()), now
    )


def erase_searched(subjects: Sequence[str], before: Searched) -> None:
    """Erase it, and what has come since. Under the lock, so nothing of it comes afterwards."""
    since = before.since - LONGEST_TRANSACTION
    late = _unreadable(subjects, SetAside.objects.filter(created_at__gte=since))
    blanking.blank(SetAside.objects.filter(pk__in=[*before.set_aside, *late]))
    _erase_answers(before, since)


def _search_answers(names: Sequence[str]) -> list[int]:
    """They are kept for thirty days, without an index of what they are about: a POST would pay for
    it. So all of them are searched, by windows.
    """
    if not apps.is_installed("admit_one.web"):
        return []
    rows = _answers()
    last = rows.aggregate(last=Max("id"))["last"] or 0
    first = rows.order_by("id").values_list("id", flat=True).first() or 1
    ids: list[int] = []
    for start in range(first, last + 1, WINDOW):
        ids += _naming(names, rows.filter(id__gte=start, id__lt=start + WINDOW))
    return ids


def _answers() -> QuerySet[Any]:
    from admit_one.web.models import IdempotencyKey  # noqa: PLC0415 (a model of that app)

    return IdempotencyKey.objects.all()


def _naming(names: Sequence[str], rows: QuerySet[Any]) -> list[int]:
    named = "|".join(map(re.escape, names))
    return list(rows.filter(body__regex=named).values_list("id", flat=True))


def answers(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """The first answers of the API that name these subjects."""
    if apps.is_installed("admit_one.web"):
        yield _answers().filter(id__in=_search_answers(subjects))


def _erase_answers(before: Searched, since: datetime) -> None:
    """The key stays, so that a request that is repeated does nothing; its answer is gone."""
    if apps.is_installed("admit_one.web"):
        late = _answers().filter(created_at__gte=since)
        ids = [*before.answers, *_naming(before.names, late)]
        blank = {"status": GONE, "location": "", "body": "null", "fingerprint": b""}
        _answers().filter(id__in=ids).update(**blank)


def acts(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What people did to these subjects, and to messages about them that nobody could read."""
    unreadable = map(str, _unreadable(subjects, SetAside.objects.all()))
    about = Act.objects.filter(subject__in=subjects)
    yield about | Act.objects.filter(area=SET_ASIDE, target__in=list(unreadable))


def erase_acts(subjects: Sequence[str]) -> None:
    """Who, when and what stays; what they wrote goes, and with a message what they wrote of it."""
    words.erase(Act.objects.filter(subject__in=subjects))


def tombstones(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """They hold ids and times, and stay."""
    yield Tombstone.objects.filter(subject__in=subjects)


LIBRARY = (
    Eraser(messages, erase_messages),
    Eraser(answers, lambda _: None),  # `erase_searched`, with what was found before
    Eraser(acts, erase_acts),  # after the messages: an operator may be working on one
    Eraser(tombstones, lambda _: None),
)
"""The library's own part of what is erased."""
