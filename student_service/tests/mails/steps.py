"""Steps that the tests of mails share."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

import pytest
from access_codes.mails import sending
from access_codes.mails.composing import Mail
from access_codes.mails.lease import Lease
from access_codes.models import MailIntent
from admit_one.messaging.testing import an_envelope, deliver, published
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from shared_contracts.events import AccessCodeUndeliverable, UserSubscribed


class Kept(Lease):
    """The lease of a mail without a row."""

    def __init__(self) -> None:
        pass

    def hand_over(self) -> bool:
        return True

    def keep(self) -> bool:
        return True


def of_bytes(wire: bytes) -> Mail:
    """A mail for our SMTP, which looks at nothing but its bytes."""
    return Mail("ada@example.org", wire, EmailMultiAlternatives())


def always() -> bool:
    return True


def for_seconds(seconds: float) -> Callable[[], bool]:
    """True for so long: the time that a run has."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def subscribe(*addresses: str) -> list[MailIntent]:
    """Issue a code and its mail for each address; returns the mails in this order."""
    deliver(*(an_envelope(UserSubscribed, email=address) for address in addresses))
    return list(MailIntent.objects.order_by("id"))


def undeliverable() -> list[AccessCodeUndeliverable]:
    """The reports to the payment side about mails that were given up."""
    return [m.data for m in published() if isinstance(m.data, AccessCodeUndeliverable)]


def made_a_pause() -> bool:
    """Whether the outage made a pause, which may be over on a slow machine."""
    return sending.outage._rest_until > 0


def faults(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    """The events of faults of ours, each with the type of what was raised."""
    return [
        (record.event, record.exc_info and record.exc_info[0])  # type: ignore[attr-defined]
        for record in caplog.records
        if record.levelname == "ERROR"
    ]


def outages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of a mail server that is unavailable."""
    return [text for text in caplog.messages if "unavailable" in text]


def make_due() -> None:
    MailIntent.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=timezone.now() - timedelta(seconds=1)
    )


def in_clear(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content
