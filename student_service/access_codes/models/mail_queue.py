"""Which mails are due, and which stop others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from . import mail_statements, mail_taking
from .mail_choices import MailState

if TYPE_CHECKING:
    from .mail_intent import MailIntent

STOPS = models.Q(reported__in=["bounced", "complained"], lifted_at__isnull=True)
"""The mails that stop all further ones to their mailbox."""


class MailIntentQuerySet(models.QuerySet["MailIntent"]):
    def due(self) -> MailIntentQuerySet:
        """Those that are due by the database's clock, longest waiting first."""
        return self.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")

    def in_state(self, state: str) -> MailIntentQuerySet:
        """Those in one state, the oldest first; found by an index, unless they are sent."""
        rows = self.filter(state=state).order_by("id")
        if state in {MailState.PENDING, MailState.SENDING}:
            return rows.filter(next_attempt_at__isnull=False)
        return rows

    def stopping(self) -> MailIntentQuerySet:
        """Those that stop further mails to their mailboxes, the oldest first."""
        return self.filter(STOPS).order_by("id")

    def take(self, most: int, *, cap: int) -> Sequence[MailIntent]:
        """Lock the first that are due and not locked by another worker.

        One is `capped` if its mailbox got, or may have got, `cap` other mails in the last
        24 hours, and `stopped` if one to its mailbox bounced or was reported as spam. The same
        query checks that, to save a round trip.
        """
        return mail_taking.take(self.model, most, cap)

    def claim(self, intents: Collection[MailIntent], lease: float) -> None:
        """Claim these, which are locked, for `lease` seconds."""
        if intents:
            tokens = mail_statements.claim([intent.pk for intent in intents], lease)
            for intent in intents:
                intent.was_claimed(tokens[intent.pk])

    def renew(self, intents: Iterable[MailIntent], lease: float) -> set[UUID]:
        """The worker that claimed these lives, and has them for `lease` seconds more.

        Returns the ids of those that no other worker has claimed since.
        """
        return mail_statements.renew({each.pk: each.token for each in intents}, lease)

    def finish_as_sent(self, intents: Iterable[MailIntent]) -> Sequence[MailIntent]:
        """Finish these, which are without doubts; those that no other worker has claimed since."""
        given = {intent.pk: intent for intent in intents}
        ours = mail_statements.finish_as_sent({pk: each.token for pk, each in given.items()})
        sent = [given[pk] for pk in sorted(ours)]
        for intent in sent:
            intent.state = MailState.SENT
        return sent

    def is_last_claim(self, intent: MailIntent) -> bool:
        """Whether nobody has claimed it since this process did."""
        return self.filter(pk=intent.pk, tried_at=models.Value(intent.token)).exists()

    def put_off(self, intent: MailIntent, seconds: float) -> None:
        """Let a mail that is due wait."""
        due = self.due().filter(pk=intent.pk)
        due.order_by().update(next_attempt_at=Now() + timedelta(seconds=seconds))
