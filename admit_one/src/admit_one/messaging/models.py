"""The tables of messaging. Rows stay after the work is done: they are the audit log."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Self

from django.db import connections, models
from django.db.models.functions import Now

from admit_one.database import prepared
from admit_one.database.clock import now_plus
from admit_one.masking import harmless
from admit_one.sealing.keyring import Sealed
from admit_one.trust import signatures

from . import tombstones  # noqa: F401 (a table)

OUTBOX_PURPOSE = "outbox"
SET_ASIDE_PURPOSE = "set-aside"
VALUES_PURPOSE = "set-aside-values"

MARK_PUBLISHED = """UPDATE messaging_outbox
    SET published_at = statement_timestamp(), last_error = '' WHERE id = ANY(%b::bigint[])"""
"""Written by hand: with a placeholder for each row, it takes longer to build and plan than to run.
"""

NO_QUEUE = "no queue is bound to"
"""The start of `last_error` of an unsent event to whose type no queue is bound."""


class OutboxQuerySet(models.QuerySet["OutboxMessage"]):
    def unsent(self) -> Self:
        return self.filter(published_at__isnull=True)

    def due(self, *, closed: Collection[str] = ()) -> Self:
        """Unsent rows whose time has come, oldest first, without those of `closed` types."""
        due = self.unsent().filter(next_attempt_at__lte=Now())
        if closed:
            due = due.exclude(type__in=closed)
        return due.order_by("next_attempt_at", "id")

    def mark_published(self, ids: Collection[int]) -> None:
        connection = connections[self.db]
        if connection.vendor == "sqlite":
            self.filter(id__in=ids).update(published_at=Now(), last_error="")
            return
        with prepared.cursor(connection.alias) as cursor:
            cursor.execute(MARK_PUBLISHED, [list(ids)])

    def mark_refused(self, row_id: int, error: str, pause: float) -> int:
        """Count a failure of the row itself; it is due again after `pause` seconds."""
        return self.filter(id=row_id).update(
            attempts=models.F("attempts") + 1,
            last_error=error[:500],
            next_attempt_at=now_plus(pause),
        )

    def end_pauses(self, event_type: str, error: str) -> int:
        """Let the unsent rows of one type that have failed with `error` be due now."""
        failed = self.unsent().filter(type=event_type, last_error=error, attempts__gt=0)
        return failed.update(next_attempt_at=Now())


class OutboxMessage(models.Model):
    """An event to publish, written in the transaction of its change. The relay publishes it."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    body = models.BinaryField(help_text="the wire bytes, sealed")
    signature = models.CharField(max_length=signatures.LONGEST, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    last_error = models.CharField(max_length=500, default="", db_default="", blank=True)
    published_at = models.DateTimeField(null=True, blank=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        db_table = "messaging_outbox"
        indexes: ClassVar = [
            # Finding due rows costs the same after a million sent rows as after none.
            models.Index(
                fields=["next_attempt_at", "id"],
                name="messaging_outbox_unsent",
                condition=models.Q(published_at__isnull=True),
            ),
            models.Index(fields=["subject"], name="messaging_outbox_subject"),
            models.Index(fields=["event_id"], name="messaging_outbox_event"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class InboxMessage(models.Model):
    """An event that was handled, so that it is handled only once. It keeps no body."""

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
        indexes: ClassVar = [
            models.Index(fields=["subject"], name="messaging_inbox_subject"),
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
        RETRYING = "retrying", "will be retried automatically"
        DEAD = "dead", "waits for an operator"
        REPLAYED = "replayed", "was handled in the end"
        DISCARDED = "discarded", "was given up by an operator"
        ERASED = "erased", "was blanked, because its subject was erased"

    id = models.BigAutoField(primary_key=True)
    state = models.CharField(max_length=16, choices=State.choices)
    # Identifies the bytes and their queue: the same message set aside twice is one row.
    delivery = models.CharField(max_length=80, unique=True)
    queue = models.CharField(max_length=255)
    source = models.CharField(max_length=255, blank=True)
    event_id = models.CharField(max_length=255, blank=True)
    type = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=255, blank=True)
    body = models.BinaryField(help_text="the wire bytes, sealed")
    sealed_values = models.BinaryField(null=True, help_text="what its sealed fields hold")
    wire_key = models.CharField(
        max_length=16, default="", db_default="", help_text="the id of our key that its body needs"
    )
    signature = models.CharField(max_length=signatures.LONGEST, default="", db_default="")
    headers = models.JSONField(default=dict)
    suspect = models.BooleanField(default=False, help_text="it may have killed its consumer")
    error = models.CharField(max_length=255)
    reason = models.TextField()
    traceback = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=255, db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    unanswered = models.PositiveIntegerField(
        default=0, db_default=0, help_text="attempts since the last one that had a result"
    )
    replays = models.PositiveIntegerField(
        default=0, db_default=0, help_text="attempts ordered by operators"
    )
    history = models.JSONField(default=list, help_text="each attempt: when, and its result")
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
            # Counts the open groups without reading the closed ones.
            models.Index(
                fields=["state", "fingerprint"],
                name="messaging_set_aside_open",
                condition=models.Q(state__in=["retrying", "dead"]),
            ),
            models.Index(fields=["subject"], name="messaging_set_aside_subject"),
            models.Index(fields=["event_id"], name="messaging_set_aside_event"),
            # What operators filter by, the newest first.
            models.Index(fields=["state", "id"], name="messaging_set_aside_state"),
            models.Index(fields=["type", "id"], name="messaging_set_aside_type"),
            models.Index(
                fields=["id"],
                name="messaging_set_aside_suspect",
                condition=models.Q(suspect=True),
            ),
        ]

    def __str__(self) -> str:
        # Masked: a third party may have put anything there.
        return harmless(f"{self.type or 'unreadable'} {self.event_id} ({self.state})")

    @property
    def failed_again(self) -> bool:
        """Whether it is open although an operator has replayed it."""
        return self.replays > 0 and self.state in {self.State.RETRYING, self.State.DEAD}


SEALED = (
    Sealed(OutboxMessage, "body", OUTBOX_PURPOSE, row="event_id"),
    Sealed(SetAside, "body", SET_ASIDE_PURPOSE, row="delivery"),
    Sealed(SetAside, "sealed_values", VALUES_PURPOSE, row="delivery"),
)
"""The columns that messaging seals."""


def set_aside_needs(kid: str) -> int:
    """How many open set-aside messages only our wire key with this id can read."""
    return SetAside.objects.open().filter(wire_key=kid).count()
