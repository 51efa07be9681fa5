"""What the library's own tables keep about subjects, and how it is erased.

Ids, types and times stay: they are the audit log of messages, and of people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from admit_one.acts.models import Act
from admit_one.contract.registry import EVENTS
from admit_one.messaging.models import (
    OUTBOX_PURPOSE,
    SET_ASIDE_PURPOSE,
    InboxMessage,
    OutboxMessage,
    SetAside,
)
from admit_one.messaging.tombstones import Tombstone
from admit_one.sealing import cipher

from .definition import Eraser

BLANK = b"erased"
"""What is sealed in place of a message."""

NO_FINGERPRINT = b""
"""Of a message that was handled: any body with its id counts as a duplicate of it."""

KEPT_FACTS = ("event_id", "type", "generation", "uses", "state", "message_id", "sent_at")
"""Of an act: what no person has written."""

WINDOW = 5_000
"""First answers that are searched together."""

LONGEST_REQUEST = timedelta(minutes=2)
"""A request that began earlier has written its answer, or was rolled back."""

GONE = 410


def messages(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """The messages about these subjects; those about their erasure go on."""
    about_erasures = [name for name, event in EVENTS.items() if event.about_erasure]
    about = OutboxMessage.objects.filter(subject__in=subjects)
    yield about.exclude(type__in=about_erasures)
    yield InboxMessage.objects.filter(subject__in=subjects)
    yield SetAside.objects.filter(pk__in=_set_aside(subjects))


def _set_aside(subjects: Sequence[str]) -> list[int]:
    """Also those whose subject was never readable: the ids in their bodies tell."""
    rows = SetAside.objects.exclude(state=SetAside.State.ERASED)
    ids = list(rows.filter(subject__in=subjects).values_list("pk", flat=True))
    names = [subject.encode() for subject in subjects]
    for row in rows.filter(subject="").only("pk", "body", "delivery").iterator():
        try:
            body = cipher.unseal(row.body, SET_ASIDE_PURPOSE, row.delivery).lower()
        except cipher.Unsealable:
            continue  # whoever has its key back finds it again
        if any(name in body for name in names):
            ids.append(row.pk)
    return ids


def erase_messages(subjects: Sequence[str]) -> None:
    """Withdraw what is not published, and blank the rest."""
    outbox, inbox, set_aside = messages(subjects)
    outbox.filter(published_at__isnull=True).delete()
    for event_id in outbox.values_list("event_id", flat=True):
        blank = cipher.seal(BLANK, OUTBOX_PURPOSE, event_id)
        outbox.filter(event_id=event_id).update(body=blank, signature="", last_error="")
    inbox.update(fingerprint=NO_FINGERPRINT)
    for row in set_aside.only("pk", "delivery", "history"):
        SetAside.objects.filter(pk=row.pk).update(
            state=SetAside.State.ERASED,
            body=cipher.seal(BLANK, SET_ASIDE_PURPOSE, row.delivery),
            sealed_values=None,
            wire_key="",
            signature="",
            headers={},
            error="",
            reason="",
            traceback="",
            fingerprint="",
            history=[{"at": entry["at"], "result": "erased"} for entry in row.history],
            next_attempt_at=None,
            closed_at=Now(),
        )


class Searched(NamedTuple):
    """First answers of the API that name something."""

    names: Sequence[str]
    ids: Sequence[int]
    since: datetime
    """When the search began, by the database's clock: later ones were not looked at."""


def search_answers(names: Sequence[str]) -> Searched:
    """Search all first answers for these ids, for `erase_answers`, outside of its transaction.

    They are kept for thirty days, without an index of what they are about: a POST would pay for
    it. So all of them are searched, by windows.
    """
    now = Tombstone.objects.values_list(Now(), flat=True).first() or timezone.now()
    if not apps.is_installed("admit_one.web"):
        return Searched(names, (), now)
    rows = _answers()
    last = rows.aggregate(last=Max("id"))["last"] or 0
    first = rows.order_by("id").values_list("id", flat=True).first() or 1
    ids: list[int] = []
    for start in range(first, last + 1, WINDOW):
        ids += _naming(names, rows.filter(id__gte=start, id__lt=start + WINDOW))
    return Searched(names, ids, now)


def _answers() -> QuerySet[Any]:
    from admit_one.web.models import IdempotencyKey  # noqa: PLC0415 (a model of that app)

    return IdempotencyKey.objects.all()


def _naming(names: Sequence[str], rows: QuerySet[Any]) -> list[int]:
    named = "|".join(map(re.escape, names))
    return list(rows.filter(body__regex=named).values_list("id", flat=True))


def answers(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """The first answers of the API that name these subjects."""
    if apps.is_installed("admit_one.web"):
        yield _answers().filter(id__in=search_answers(subjects).ids)


def erase_answers(before: Searched) -> None:
    """The key stays, so that a request that is repeated does nothing; its answer is gone."""
    if apps.is_installed("admit_one.web"):
        late = _answers().filter(created_at__gte=before.since - LONGEST_REQUEST)
        ids = [*before.ids, *_naming(before.names, late)]
        blank = {"status": GONE, "location": "", "body": "null", "fingerprint": b""}
        _answers().filter(id__in=ids).update(**blank)


def acts(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """What people did to these subjects."""
    yield Act.objects.filter(subject__in=subjects)


def erase_acts(subjects: Sequence[str]) -> None:
    """Who, when and what stays; what they wrote goes."""
    for rows in acts(subjects):
        for act in rows:
            act.reason = act.detail = ""
            act.facts = {name: act.facts[name] for name in KEPT_FACTS if name in act.facts}
            act.save(update_fields=["reason", "detail", "facts"])


def tombstones(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    """They hold ids and times, and stay."""
    yield Tombstone.objects.filter(subject__in=subjects)


LIBRARY = (
    Eraser(messages, erase_messages),
    Eraser(answers, lambda _: None),  # `erase_answers`, with what was found before
    Eraser(acts, erase_acts),  # after the messages: an operator may be working on one
    Eraser(tombstones, lambda _: None),
)
"""The library's own part of what is erased."""
