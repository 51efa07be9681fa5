"""Codes, and the mails that are to carry them. Codes and addresses rest sealed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models.functions import Coalesce, Now
from shared_contracts.messaging import sealing
from uuid_utils.compat import uuid7

CODE_PURPOSE = "access-code"
RECIPIENT_PURPOSE = "mail-recipient"

PAID_AT = Coalesce("occurred_at", "issued_at")
"""When it was paid; codes of the first release know only when they were issued."""


class AccessCodeQuerySet(models.QuerySet["AccessCode"]):
    def paid_between(
        self, since: datetime, until: datetime, after: tuple[datetime, UUID] | None = None
    ) -> AccessCodeQuerySet:
        """Those paid from `since` until before `until`, in the order of when and of subscription.

        `after` is a place in that order: only what comes behind it.
        """
        paid = self.annotate(paid_at=PAID_AT).filter(paid_at__gte=since, paid_at__lt=until)
        if after is not None:
            # The first condition is where an index can begin, the second is exact.
            paid = paid.filter(paid_at__gte=after[0]).filter(
                models.Q(paid_at__gt=after[0]) | models.Q(subscription_id__gt=after[1])
            )
        return paid.order_by("paid_at", "subscription_id")


class AccessCode(models.Model):
    """The one code of a subscription: its primary key is what makes it one."""

    subscription_id = models.UUIDField(primary_key=True)
    user_id = models.CharField(max_length=64)
    plan = models.CharField(max_length=64)
    lookup_hash = models.BinaryField(max_length=32, unique=True, help_text="finds a typed code")
    lookup_hash_next = models.BinaryField(
        max_length=32, null=True, help_text="finds it under the key that is to take over"
    )
    sealed_code = models.BinaryField(help_text="the code, to be sent and told again")
    issued_at = models.DateTimeField()
    # What was paid: the payment side has it back from here if its database was lost.
    amount = models.BigIntegerField(null=True, help_text="in minor units of the currency")
    currency = models.CharField(max_length=3, null=True, help_text="ISO 4217")  # noqa: DJ001
    occurred_at = models.DateTimeField(null=True, help_text="when it was paid")

    objects = AccessCodeQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(PAID_AT, "subscription_id", name="access_code_paid"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["lookup_hash_next"],
                name="access_code_lookup_next",
                condition=models.Q(lookup_hash_next__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"code of {self.subscription_id}"

    @property
    def code(self) -> str:
        """The code in clear. Raises `Unsealable` if its key is gone."""
        return sealing.unseal(self.sealed_code, CODE_PURPOSE).decode()


class MailIntentQuerySet(models.QuerySet["MailIntent"]):
    def due(self) -> MailIntentQuerySet:
        """Those whose time has come by the database's clock, the longest waiting first."""
        return self.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")

    def take(self) -> MailIntent | None:
        """The first that is due and that no other worker is just taking; locked until commit."""
        locked = self.due().select_for_update(of=("self",), skip_locked=True)
        return locked.select_related("access_code").first()

    def tried_today(self, intent: MailIntent, at_most: int) -> int:
        """How many other mails its recipient got, or may have got, in the last 24 hours."""
        State = MailIntent.State  # noqa: N806
        others = self.filter(
            ~models.Q(pk=intent.pk),
            recipient_hash=intent.recipient_hash,
            tried_at__gt=Now() - timedelta(days=1),
            state__in=[State.SENT, State.SENDING, State.UNKNOWN],
        )
        # Not count(): over a slice it costs Django three times as much as this query.
        return len(others.values_list("pk")[:at_most])


class MailIntent(models.Model):
    """A mail that is to be sent: written with its code, settled by a worker, kept as a record.

    pending → sending → sent · failed · pending (put off) · unknown (lost on the way)
    pending → suppressed (too many for this recipient today)
    unknown → sending (again, with the same Message-ID), or whatever an operator settles

    `next_attempt_at` is null exactly when nothing will happen by itself, so the index of what is
    left stays as small as that. While `sending`, it is the time when the worker must be dead.
    """

    class State(models.TextChoices):
        PENDING = "pending", "is to be sent"
        SENDING = "sending", "is being sent"
        UNKNOWN = "unknown", "may have been sent, nobody knows"
        SENT = "sent", "was taken by the mail server"
        FAILED = "failed", "will not be sent, see the last error"
        SUPPRESSED = "suppressed", "was held back: too many mails for one recipient"

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
        default=0, db_default=0, help_text="how often nobody knew whether it was sent"
    )
    tried_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="", db_default="")

    _claimed = 0
    """The attempt for which this process has it, if it has."""

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
        return sealing.unseal(self.recipient, RECIPIENT_PURPOSE).decode()

    # Each of these returns whether it was written. A worker that comes back after its lease finds
    # its mail settled by somebody else, and what it has to say comes too late.

    def claim(self, lease: float) -> None:
        """A worker has it now, for `lease` seconds; the attempt is counted before it is made."""
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
        """Nothing was tried after all: due again at once, and the attempt does not count."""
        self.attempts -= 1
        return self._become(self.State.PENDING, attempts=self.attempts, next_attempt_at=Now())

    def sent(self) -> bool:
        return self._become(self.State.SENT, sent_at=Now(), next_attempt_at=None, last_error="")

    def put_off(self, error: str, pause: float) -> bool:
        """Due again after `pause` seconds."""
        due = Now() + timedelta(seconds=pause)
        return self._become(self.State.PENDING, next_attempt_at=due, last_error=error)

    def doubt(self, error: str, pause: float | None) -> bool:
        """Nobody knows whether it was sent: due after `pause` seconds, or when somebody says so."""
        return self._become(
            self.State.UNKNOWN,
            doubts=models.F("doubts") + 1,
            next_attempt_at=None if pause is None else Now() + timedelta(seconds=pause),
            last_error=error,
        )

    def send_again(self, note: str) -> None:
        """Due at once, with all its attempts before it."""
        self.attempts = 0
        self._become(
            self.State.PENDING, attempts=self.attempts, next_attempt_at=Now(), last_error=note
        )

    def arrived(self, note: str) -> None:
        """Somebody knows that it was delivered."""
        self._become(self.State.SENT, sent_at=Now(), next_attempt_at=None, last_error=note)

    def failed(self, error: str) -> bool:
        return self._become(self.State.FAILED, next_attempt_at=None, last_error=error)

    def suppress(self, reason: str) -> bool:
        return self._become(self.State.SUPPRESSED, next_attempt_at=None, last_error=reason)

    def _become(self, state: MailIntent.State, **changes: Any) -> bool:
        """Write the fields of this change and no others, if nobody else has the mail by now."""
        if "last_error" in changes:
            changes["last_error"] = changes["last_error"][:500]
        row = MailIntent.objects.filter(pk=self.pk)
        if self._claimed:
            row = row.filter(state=self.State.SENDING, attempts=self._claimed)
        if not row.update(state=state, **changes):
            return False
        self.state = state
        return True
