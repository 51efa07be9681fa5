"""Subjects that are erased for good: whatever still comes about one is passed by.

An erasure locks the table against all who read it by `ERASED` or `lock_any`. So a transaction that
writes about a subject has ended before the subject is erased, or finds its tombstone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.db import connection, models
from django.db.models.functions import Now

from admit_one.contract.envelope import Envelope
from admit_one.contract.registry import EVENTS
from admit_one.wiring import wired

ERASED = """EXISTS (SELECT 1 FROM messaging_tombstone AS stone
    WHERE stone.subject = messaging_inbox.subject{lock})"""
"""In a statement about an inbox row: whether its subject is erased. The lock keeps erasures of
other subjects away until the transaction ends; taken before the statement's snapshot, it shows
those that have just ended, too."""

UUIDS = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

MOST_NAMED = 1_000
"""Subjects that are looked for in one unreadable message."""


class TombstoneQuerySet(models.QuerySet["Tombstone"]):
    def to_erase(self) -> Self:
        """Those that are still to be erased here, the first one first."""
        return self.filter(erased_at__isnull=True).order_by("created_at")

    def to_ask(self) -> Self:
        """Those whose request to the other side is due again, longest waiting first."""
        return self.filter(next_request_at__lte=Now()).order_by("next_request_at")


class Tombstone(models.Model):
    """A subject that is erased, or about to be. It holds ids only, and is kept forever.

    Who began an erasure asks the other side for it until that has answered.
    """

    subject = models.CharField(primary_key=True, max_length=255)
    erasure_id = models.UUIDField(help_text="the same on both sides")
    created_at = models.DateTimeField(db_default=Now())
    erased_at = models.DateTimeField(null=True, help_text="null until it is erased here")
    last_request_id = models.CharField(
        max_length=255, default="", db_default="", help_text="event id of the last request"
    )
    requests = models.PositiveIntegerField(
        default=0, db_default=0, help_text="how often the other side was asked"
    )
    next_request_at = models.DateTimeField(
        null=True, help_text="when that is repeated; null unless it has to answer"
    )
    answered_at = models.DateTimeField(null=True, help_text="when the other side had erased it")

    objects = TombstoneQuerySet.as_manager()

    class Meta:
        db_table = "messaging_tombstone"
        indexes: ClassVar = [
            models.Index(fields=["erasure_id"], name="messaging_tombstone_erasure"),
            models.Index(fields=["created_at"], name="messaging_tombstone_created"),
            models.Index(
                fields=["created_at"],
                name="messaging_tombstone_to_erase",
                condition=models.Q(erased_at__isnull=True),
            ),
            models.Index(
                fields=["next_request_at"],
                name="messaging_tombstone_to_ask",
                condition=models.Q(next_request_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"tombstone of {self.subject}"


def about_erasures() -> list[str]:
    """The types of the events that are handled although their subject is erased."""
    return [name for name, event in EVENTS.items() if event.about_erasure]


def erased() -> str:
    """`ERASED` for this database."""
    return ERASED.format(lock=" FOR KEY SHARE" if connection.vendor == "postgresql" else "")


def lock_all() -> None:
    """Wait for all transactions that have looked for tombstones, and hold up those that will.

    The first statement of an erasure: whoever looks for a tombstone does so before it locks rows,
    so that no two wait for each other. SQLite has one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")  # others wait meanwhile
            cursor.execute("LOCK TABLE messaging_tombstone IN EXCLUSIVE MODE")


def lock_any(subject: str, body: bytes) -> bool:
    """Whether a message about this subject, or else naming one in its body, is about an erased one.

    No subject is erased until the transaction ends.
    """
    named = {subject}
    if not subject:
        named = {name.decode().lower() for name in UUIDS.findall(body)[:MOST_NAMED]}
    rows = Tombstone.objects.filter(subject__in=named).select_for_update(no_key=True)
    return bool(list(rows.values_list("subject", flat=True)))


def without_erased(fresh: Iterable[tuple[Envelope[Any], bool]]) -> list[Envelope[Any]]:
    """Those to handle: what is about an erased subject counts as handled.

    The wiring's `ON_ERASED` hears of it, in this transaction.
    """
    handled: list[Envelope[Any]] = []
    passed_by: list[Envelope[Any]] = []
    for envelope, is_erased in fresh:
        is_passed_by = is_erased and not envelope.data.about_erasure
        (passed_by if is_passed_by else handled).append(envelope)
    if passed_by and (on_erased := wired("ON_ERASED")):
        on_erased(passed_by)
    return handled
