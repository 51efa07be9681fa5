"""The states and kinds of mails, and what providers report of them."""

from __future__ import annotations

from django.db import models


class MailState(models.TextChoices):
    PENDING = "pending", "waits to be sent"
    SENDING = "sending", "is being sent"
    UNKNOWN = "unknown", "may or may not have been sent"
    SENT = "sent", "was accepted by the mail server"
    FAILED = "failed", "will not be sent; the last error says why"
    SUPPRESSED = (
        "suppressed",
        "will not be sent: its mailbox had too many, or gets no more",
    )
    WITHDRAWN = "withdrawn", "will not be sent: its code is revoked, or it would be wrong"
    WITHHELD = "withheld", "will not be sent: a test, and not to TEST_MAIL_ADDRESSES"


class MailKind(models.TextChoices):
    CODE = "code", "the code's own mail"
    RESEND = "resend", "the same code again"
    REPLACED = "replaced", "the code in place of an earlier one"
    EXPIRING_SOON = "expiring_soon", "until when the code works"

    @property
    def has_code(self) -> bool:
        return self is not MailKind.EXPIRING_SOON


class MailReported(models.TextChoices):
    """What the provider has reported of it, in the order in which one outdoes another."""

    NOTHING = "", "nothing"
    DEFERRED = "deferred", "not delivered yet, or bounced softly"
    DELIVERED = "delivered", "reached the recipient's mail server"
    DROPPED = "dropped", "was given up by the provider, for no fault of the mailbox"
    BOUNCED = "bounced", "bounced: there is no such mailbox"
    COMPLAINED = "complained", "was reported as spam by its recipient"
