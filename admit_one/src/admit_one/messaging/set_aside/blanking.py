"""Blanks set-aside messages about erased subjects. Ids, type and times stay."""

from __future__ import annotations

from django.db.models.functions import Now

from admit_one.acts import words
from admit_one.acts.models import Act
from admit_one.messaging.models import SET_ASIDE_PURPOSE, SetAside, SetAsideQuerySet
from admit_one.messaging.tombstones import Tombstone, about_erasures
from admit_one.sealing import cipher

from .acts import AREA

BLANK = b"erased"
"""What is sealed in place of a message."""


def not_blank() -> SetAsideQuerySet:
    """The messages that still hold something."""
    return SetAside.objects.exclude(state=SetAside.State.ERASED)


def blank(rows: SetAsideQuerySet) -> None:
    """Blank these messages, and what operators wrote about them."""
    ids = []
    for row in rows.only("pk", "delivery", "history"):
        ids.append(str(row.pk))
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
    words.erase(Act.objects.filter(area=AREA, target__in=ids))


def blank_if_erased(row: SetAside) -> None:
    """Blank a message whose subject has become readable after that was erased: it was passed by."""
    if not row.subject or row.type in about_erasures():
        return
    if Tombstone.objects.filter(subject=row.subject).exists():
        blank(not_blank().filter(pk=row.pk))
