"""The tables of messaging. Rows stay after the work is done: they are the audit log."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Now

from admit_one.database.clock import now_plus
from admit_one.masking import harmless

OUTBOX_PURPOSE = "outbox"
SET_ASIDE_PURPOSE = "set-aside"

NOBODY_BOUND = "nobody is bound to"
"""How the last error of an unsent event begins if no queue takes its type."""


class OutboxQuerySet(models.QuerySet["OutboxMessage"]):
    def unsent(self) -> Self:
        return self.filter(published_at__isnull=True)

    def due(self, *, closed: Collection[str] = ()) -> Self:
        """Unsent rows whose time has come, oldest first, without those of `closed` types."""
        due = self.unsent().filter(next_attempt_at__lte=Now())
        if closed:
            due = due.exclude(type__in=closed)
        return due.order_by("next_attempt_at", "id")

    def mark_published(self, ids: Collection[int]) -> int:
        return self.filter(id__in=ids).update(published_at=Now(), last_error="")

    def mark_refused(self, row_id: int, error: str, pause: float) -> int:
        """Count a fault of the row itself; it comes back after `pause` seconds."""
        return self.filter(id=row_id).update(
            attempts=models.F("attempts") + 1,
            last_error=error[:500],
            next_attempt_at=now_plus(pause),
        )


class OutboxMessage(models.Model):
    """An event that its own transaction has written down to be sent. The relay sends it."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    body = models.BinaryField(help_text="the wire bytes, sealed")
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    last_error = models.CharField(max_length=500, default="", db_default="", blank=True)
    published_at = models.DateTimeField(null=True, blank=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        db_table = "messaging_outbox"
        indexes: ClassVar = [
            # The relay's look costs the same after a million sent rows as after none.
            models.Index(
                fields=["next_attempt_at", "id"],
                name="messaging_outbox_unsent",
                condition=models.Q(published_at__isnull=True),
            ),
            models.Index(fields=["subject"], name="messaging_outbox_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class InboxMessage(models.Model):
    """An event that was handled, so that it is handled once. It keeps no body."""

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=255)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    fingerprint = models.BinaryField(help_text="keyed hash of the wire bytes")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "messaging_inbox"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event_id", "source"], name="messaging_inbox_once"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class SetAsideQuerySet(models.QuerySet["SetAside"]):
    def due(self) -> Self:
        return self.filter(state=SetAside.State.RETRYING, next_attempt_at__lte=Now()).order_by(
            "next_attempt_at", "id"
        )

    def open(self) -> Self:
        """Those that are not closed: retrying or dead."""
        return self.filter(state__in=[SetAside.State.RETRYING, SetAside.State.DEAD])


class SetAside(models.Model):
    """A message that could not be handled, with all that is known of it."""

    class State(models.TextChoices):
        RETRYING = "retrying", "will be tried again by itself"
        DEAD = "dead", "waits for an operator"
        REPLAYED = "replayed", "was handled after all"
        DISCARDED = "discarded", "was given up by an operator"

    id = models.BigAutoField(primary_key=True)
    state = models.CharField(max_length=16, choices=State.choices)
    # Which delivery this was: the same message set aside twice is one row, not two.
    delivery = models.CharField(max_length=80, unique=True)
    queue = models.CharField(max_length=255)
    source = models.CharField(max_length=255, blank=True)
    event_id = models.CharField(max_length=255, blank=True)
    type = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=255, blank=True)
    body = models.BinaryField(help_text="the wire bytes, sealed")
    headers = models.JSONField(default=dict)
    suspect = models.BooleanField(default=False, help_text="it may have killed its consumer")
    error = models.CharField(max_length=255)
    reason = models.TextField()
    traceback = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=255, db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    unanswered = models.PositiveIntegerField(
        default=0, db_default=0, help_text="tries since the last one that ended with an answer"
    )
    replays = models.PositiveIntegerField(
        default=0, db_default=0, help_text="tries that an operator has asked for"
    )
    history = models.JSONField(default=list, help_text="each try: when, and what came of it")
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = SetAsideQuerySet.as_manager()

    class Meta:
        db_table = "messaging_set_aside"
        verbose_name = "set-aside message"
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("work_on_setaside", "Can replay, discard and restore set-aside messages"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at", "id"],
                name="messaging_set_aside_due",
                condition=models.Q(state="retrying"),
            ),
            # The groups that are open, counted without a look at those that are closed.
            models.Index(
                fields=["state", "fingerprint"],
                name="messaging_set_aside_open",
                condition=models.Q(state__in=["retrying", "dead"]),
            ),
        ]

    def __str__(self) -> str:
        # Masked: a third party may have put anything there.
        return harmless(f"{self.type or 'unreadable'} {self.event_id} ({self.state})")

    @property
    def came_back(self) -> bool:
        """Whether it failed again after an operator had it tried."""
        return self.replays > 0 and self.state in {self.State.RETRYING, self.State.DEAD}
