"""The mails that carry codes, as rows. Addresses rest sealed."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any, ClassVar

from admit_one.sealing import cipher
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from .access_code import AccessCode

RECIPIENT_PURPOSE = "mail-recipient"


class MailIntentQuerySet(models.QuerySet["MailIntent"]):
    def due(self) -> MailIntentQuerySet:
        """Those that are due by the database's clock, the longest waiting first."""
        return self.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")

    def take(self, *, cap: int) -> MailIntent | None:
        """The first that is due and that no other worker is taking just now; locked until commit.

        It is `capped` if its recipient got, or may have got, `cap` other mails in the last
        24 hours. The same query finds that out: each query costs a mail one round trip.
        """
        return _to_take(cap).first()


@cache
def _to_take(cap: int) -> MailIntentQuerySet:
    """Cached: building it takes a fifth of the processor time that a mail costs."""
    State = MailIntent.State  # noqa: N806
    others = MailIntent.objects.filter(
        ~models.Q(pk=models.OuterRef("pk")),
        recipient_hash=models.OuterRef("recipient_hash"),
        tried_at__gt=Now() - timedelta(days=1),
        state__in=[State.SENT, State.SENDING, State.UNKNOWN],
    )
    locked = MailIntent.objects.due().select_for_update(of=("self",), skip_locked=True)
    rows = locked.select_related("access_code__revocation")
    capped = models.Exists(others[cap - 1 : cap])
    return rows.annotate(capped=capped)  # type: ignore[no-redef]


class MailIntent(models.Model):
    """A mail: written with its code, finished by a worker, kept as a record.

    pending → sending → sent · failed · pending (deferred) · unknown (lost on the way)
    pending → suppressed (too many for this recipient today)
    pending · unknown → withdrawn (its code is revoked)
    unknown → sending (again, with the same Message-ID), or what an operator decides

    `next_attempt_at` is null exactly when nothing will happen by itself, which keeps the index of
    open mails small. While `sending`, it is the time from which the worker must be dead.
    """

    class State(models.TextChoices):
        PENDING = "pending", "waits to be sent"
        SENDING = "sending", "is being sent"
        UNKNOWN = "unknown", "may have been sent or not"
        SENT = "sent", "was taken by the mail server"
        FAILED = "failed", "will not be sent; the last error says why"
        SUPPRESSED = "suppressed", "will not be sent: too many mails to one address"
        WITHDRAWN = "withdrawn", "will not be sent: its code is revoked"

    id = models.UUIDField(primary_key=True, default=uuid7)
    access_code = models.ForeignKey(AccessCode, on_delete=models.PROTECT, related_name="mails")
    message_id = models.CharField(max_length=255)
    recipient = models.BinaryField(help_text="the address, sealed")
    recipient_hash = models.BinaryField(max_length=32, help_text="counts the mails of an address")
    state = models.CharField(
        max_length=16, choices=State.choices, default=State.PENDING, db_default=State.PENDING
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    doubts = models.PositiveIntegerField(
        default=0, db_default=0, help_text="attempts that may have sent it or not"
    )
    tried_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="", db_default="")

    capped = False
    """Whether its recipient has had enough mails for now; `take` finds that out."""
    _claimed = 0
    """The number of the attempt for which this process claimed it, 0 if it did not."""

    objects = MailIntentQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at", "id"],
                name="mail_intent_open",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            models.Index(
                fields=["recipient_hash", "tried_at"],
                name="mail_intent_tried",
                condition=models.Q(tried_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} ({self.state})"

    @property
    def address(self) -> str:
        """The recipient in clear. Raises `Unsealable` if its key is gone."""
        return cipher.unseal(self.recipient, RECIPIENT_PURPOSE).decode()

    # Each change returns whether it was written. A worker that comes back after its lease ended
    # comes too late: another has taken the mail over.

    def claim(self, lease: float) -> None:
        """This worker has it, for `lease` seconds; the attempt is counted before it is made."""
        self.attempts += 1
        self._claimed = 0
        self._become(
            self.State.SENDING,
            attempts=self.attempts,
            tried_at=Now(),
            next_attempt_at=Now() + timedelta(seconds=lease),
        )
        self._claimed = self.attempts

    def release(self) -> bool:
        """Nothing was attempted after all: due again at once, and not counted."""
        self.attempts -= 1
        return self._become(self.State.PENDING, attempts=self.attempts, next_attempt_at=Now())

    def sent(self, note: str = "") -> bool:
        return self._become(self.State.SENT, sent_at=Now(), next_attempt_at=None, last_error=note)

    def defer(self, error: str, pause: float) -> bool:
        """Due again after `pause` seconds."""
        due = Now() + timedelta(seconds=pause)
        return self._become(self.State.PENDING, next_attempt_at=due, last_error=error)

    def doubt(self, error: str, pause: float | None) -> bool:
        """It may have been sent or not: due after `pause` seconds, or left to an operator."""
        return self._become(
            self.State.UNKNOWN,
            doubts=models.F("doubts") + 1,
            next_attempt_at=None if pause is None else Now() + timedelta(seconds=pause),
            last_error=error,
        )

    def resend(self, note: str) -> bool:
        """Due at once, with all its attempts before it."""
        self.attempts = 0
        return self._become(
            self.State.PENDING, attempts=self.attempts, next_attempt_at=Now(), last_error=note
        )

    def failed(self, error: str) -> bool:
        return self._become(self.State.FAILED, next_attempt_at=None, last_error=error)

    def suppress(self, reason: str) -> bool:
        return self._become(self.State.SUPPRESSED, next_attempt_at=None, last_error=reason)

    def withdraw(self, reason: str) -> bool:
        """Not to be sent any more; the last error of earlier attempts is kept."""
        error = f"{reason}; before that: {self.last_error}" if self.last_error else reason
        return self._become(self.State.WITHDRAWN, next_attempt_at=None, last_error=error)

    def _become(self, state: MailIntent.State, **changes: Any) -> bool:
        """Write the fields of this change and no others, unless another worker has the mail."""
        if "last_error" in changes:
            changes["last_error"] = changes["last_error"][:500]
        row = MailIntent.objects.filter(pk=self.pk)
        if self._claimed:
            row = row.filter(state=self.State.SENDING, attempts=self._claimed)
        if not row.update(state=state, **changes):
            return False
        self.state = state
        return True
