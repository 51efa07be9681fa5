"""Mails as rows, with sealed addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, TypeAlias

from admit_one.sealing import cipher
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from .access_code import AccessCode
from .mail_choices import MailKind, MailReported, MailState
from .mail_queue import STOPS, MailIntentQuerySet
from .mail_statements import Token

RECIPIENT_PURPOSE = "mail-recipient"


class MailIntent(models.Model):
    """A mail: written with its cause, sent by a worker, kept as a record.

    pending → sending → sent · failed · pending (deferred) · unknown (may have been sent)
    pending → pending (daily cap reached) → suppressed (still reached after a week)
    pending · unknown → withdrawn (its code is revoked, its address was corrected, or what it says
        holds no more)
    withheld: of a test whose address is not in TEST_MAIL_ADDRESSES; from the beginning, as a rule
    unknown → sending (again, with the same Message-ID) → sent · unknown: an earlier attempt may
        have sent it, so it is never failed or suppressed by itself; an operator decides

    `next_attempt_at` is null if nothing happens automatically, which keeps the index of open mails
    small. While `sending`, it is when the lease ends and the worker counts as dead.
    """

    State: TypeAlias = MailState
    Kind: TypeAlias = MailKind
    Reported: TypeAlias = MailReported

    id = models.UUIDField(primary_key=True, default=uuid7)
    access_code = models.ForeignKey(AccessCode, on_delete=models.PROTECT, related_name="mails")
    kind = models.CharField(
        max_length=16, choices=Kind.choices, default=Kind.CODE, db_default=Kind.CODE
    )
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="as it says, if it says that the code expires soon"
    )
    message_id = models.CharField(max_length=255)
    recipient = models.BinaryField(help_text="the address, sealed")
    recipient_hash = models.BinaryField(max_length=32, help_text="keyed hash of the address")
    state = models.CharField(
        max_length=16, choices=State.choices, default=State.PENDING, db_default=State.PENDING
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    doubts = models.PositiveIntegerField(
        default=0, db_default=0, help_text="attempts that may or may not have sent it"
    )
    tried_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="", db_default="")
    provider_id = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="the provider's own id"
    )
    reported = models.CharField(
        max_length=16, blank=True, choices=Reported.choices, default="", db_default="",
        help_text="what the provider has reported of it",
    )  # fmt: skip
    reported_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(
        null=True, blank=True, help_text="when an operator allowed mails to its mailbox again"
    )

    stopped: str | None = None
    """What a mail to the same mailbox has met that stops this one; set by `take`."""
    capped = False
    """Whether its mailbox has reached the daily cap; set by `take`."""
    token: Token | None = None
    """That of the claim by which this process has it, if it has one."""
    _counted_ahead = False
    """Whether the doubt about the attempt in hand is counted already (see `hand_over`)."""

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
            models.Index(fields=["recipient_hash", "access_code"], name="mail_intent_to"),
            # Those that end in another way than sent are few, and operators list them.
            models.Index(
                fields=["state", "id"],
                name="mail_intent_not_sent",
                condition=models.Q(state__in=["unknown", "failed", "suppressed", "withdrawn"]),
            ),
            models.Index(
                fields=["id"], name="mail_intent_withheld", condition=models.Q(state="withheld")
            ),
            models.Index(fields=["recipient_hash"], name="mail_intent_stops", condition=STOPS),
            models.Index(
                fields=["provider_id"],
                name="mail_intent_provider",
                condition=~models.Q(provider_id=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} ({self.state})"

    @property
    def address(self) -> str:
        """The recipient in clear. Raises `Unsealable` if its key is gone."""
        return cipher.unseal(self.recipient, RECIPIENT_PURPOSE, self.id).decode()

    @property
    def has_code(self) -> bool:
        return self.Kind(self.kind).has_code

    @property
    def has_stop(self) -> bool:
        """Whether no more mails go to its mailbox. Takes one query."""
        return MailIntent.objects.stopping().filter(recipient_hash=self.recipient_hash).exists()

    def was_written_before(self, age: timedelta) -> bool:
        """Whether it is older than `age`, by the database's clock."""
        return MailIntent.objects.filter(pk=self.pk, created_at__lt=Now() - age).exists()

    # Each change returns whether it was written. It is not if another worker has claimed the mail
    # since, or somebody has finished it.

    def was_claimed(self, token: Token) -> None:
        """This process has claimed it. The attempt is counted before it is made."""
        self.state = self.State.SENDING
        self.attempts += 1
        self.token, self._counted_ahead = token, False

    def hand_over(self, lease: float) -> bool:
        """Count the doubt about a further copy before there can be one; the lease is renewed.

        So a worker that dies before it gave away the copy is distinguished from one that dies
        after. The first copy costs no query: its doubt is counted when nobody knows of its end.
        """
        if not self.doubts:
            return True
        due = Now() + timedelta(seconds=lease)
        ahead = self._earlier_doubts + 1
        self._counted_ahead = self._become(self.State.SENDING, doubts=ahead, next_attempt_at=due)
        return self._counted_ahead

    def release(self, error: str = "", pause: float = 0.0) -> bool:
        """Give back a claim without an attempt: due after `pause` seconds, and not counted."""
        changes = {"last_error": error} if error else {}
        due = Now() + timedelta(seconds=pause)
        return self._wait(next_attempt_at=due, attempts=self.attempts - 1, **changes)

    def sent(self, note: str = "", provider_id: str = "") -> bool:
        named = {"provider_id": provider_id[:255]} if provider_id else {}
        return self._become(
            self.State.SENT,
            sent_at=Now(),
            next_attempt_at=None,
            last_error=note,
            doubts=self._earlier_doubts,
            **named,
        )

    def defer(self, error: str, pause: float) -> bool:
        """Due again after `pause` seconds."""
        return self._wait(next_attempt_at=Now() + timedelta(seconds=pause), last_error=error)

    def doubt(self, error: str, pause: float | None) -> bool:
        """It may have been sent: due after `pause` seconds, or left to an operator if none."""
        return self._become(
            self.State.UNKNOWN,
            doubts=self.doubts_if_lost,
            next_attempt_at=None if pause is None else Now() + timedelta(seconds=pause),
            last_error=error,
        )

    def leave_in_doubt(self, error: str) -> bool:
        """This attempt did not send it, but an earlier one may have: left to an operator."""
        return self._wait(next_attempt_at=None, last_error=error)

    @property
    def doubts_if_lost(self) -> int:
        """Its doubts, if nobody will ever know how the attempt in hand ended."""
        died = self.state == self.State.SENDING and self.token is None
        return max(1, self.doubts) if died or self._counted_ahead else self.doubts + 1

    @property
    def may_have_arrived(self) -> bool:
        """Whether an earlier attempt may have sent it."""
        return self._earlier_doubts > 0

    @property
    def _earlier_doubts(self) -> int:
        return self.doubts - self._counted_ahead

    def _wait(self, **changes: Any) -> bool:
        """Not sent by the attempt in hand; it stays unknown whether an earlier one sent it."""
        state = self.State.UNKNOWN if self.may_have_arrived else self.State.PENDING
        return self._become(state, doubts=self._earlier_doubts, **changes)

    def resend(self, note: str) -> bool:
        self.attempts = 0
        return self._become(
            self.State.PENDING, attempts=self.attempts, next_attempt_at=Now(), last_error=note
        )

    def failed(self, error: str) -> bool:
        return self._become(self.State.FAILED, next_attempt_at=None, last_error=error)

    def suppress(self, reason: str) -> bool:
        return self._become(self.State.SUPPRESSED, next_attempt_at=None, last_error=reason)

    def withhold(self, reason: str) -> bool:
        return self._become(self.State.WITHHELD, next_attempt_at=None, last_error=reason)

    def note(self, reported: MailIntent.Reported) -> None:
        """Keep what the provider has reported, whatever the mail's state, and that it is new."""
        self.reported, self.lifted_at = reported.value, None
        MailIntent.objects.filter(pk=self.pk).update(
            reported=self.reported, reported_at=Now(), lifted_at=None
        )

    def withdraw(self, reason: str) -> bool:
        error = f"{reason}; before that: {self.last_error}" if self.last_error else reason
        return self._become(self.State.WITHDRAWN, next_attempt_at=None, last_error=error)

    def _become(self, state: MailIntent.State, **changes: Any) -> bool:
        """Write only the changed fields.

        If this process has claimed the mail, only while that is the last claim. Another worker may
        have taken this one for dead: then the mail is in doubt, and what this one knows is better.
        """
        if "last_error" in changes:
            changes["last_error"] = changes["last_error"][:500]
        row = MailIntent.objects.filter(pk=self.pk)
        if self.token is not None:
            in_hand = [self.State.SENDING, self.State.UNKNOWN]
            row = row.filter(state__in=in_hand, tried_at=models.Value(self.token))
        if not row.update(state=state, **changes):
            return False
        self.state = state
        self.doubts = changes.get("doubts", self.doubts)
        if state != self.State.SENDING:
            self._counted_ahead = False
        return True
