"""The latest request to mail the code again, as columns of its subscription."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from admit_one.contract.versions import next_version
from admit_one.messaging import Envelope
from django.db import models
from shared_contracts.events import AccessCodeResendRequested

from .delays import request_delay


class Resendable(models.Model):
    """Its code can be mailed again: `resend_next_at` is null unless a request has no answer."""

    email_corrected = models.BooleanField(
        default=False, db_default=False, help_text="whether a client has corrected the address"
    )
    resend_version = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="raised with each request to mail the code again"
    )
    resend_requested_at = models.DateTimeField(null=True)
    resend_answered = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="the version that the student side has answered"
    )
    resend_answered_at = models.DateTimeField(null=True)
    resend_refused = models.CharField(
        max_length=300, default="", db_default="", blank=True, help_text="why, if it was"
    )
    resend_request_id = models.CharField(
        max_length=36, default="", db_default="", blank=True, help_text="event id of the last one"
    )
    resend_requests = models.PositiveIntegerField(
        default=0, db_default=0, help_text="events for the latest request"
    )
    resend_next_at = models.DateTimeField(null=True, help_text="when it is repeated")

    class Meta:
        abstract = True

    @property
    def resend_is_answered(self) -> bool:
        return self.resend_answered >= self.resend_version

    def ask_to_resend(self, now: datetime, email: str | None) -> None:
        """To be called before `next_resend`; `email` is a corrected address."""
        if email is not None:
            self.email, self.email_corrected = email, True
        self.resend_version = next_version(self.resend_version, now)
        self.resend_requested_at, self.resend_requests, self.resend_request_id = now, 0, ""

    def next_resend(self, now: datetime) -> Envelope[AccessCodeResendRequested]:
        """Count one more event for the latest request; returns the event to publish."""
        request = Envelope.of(self._resend(), cause=self.resend_request_id or None)
        self.resend_request_id = request.id
        self.resend_requests += 1
        self.resend_next_at = now + request_delay(self.resend_requests)
        return request

    def _resend(self) -> AccessCodeResendRequested:
        row: Any = self
        return AccessCodeResendRequested(
            subscription_id=row.id,
            version=self.resend_version,
            email=row.email if self.email_corrected else None,
        )
