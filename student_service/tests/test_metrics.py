"""The metrics of mails show what happened to them."""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

import pytest
from access_codes import metrics
from access_codes.mails import sending
from access_codes.models import MailIntent
from admit_one.messaging.testing import an_envelope, deliver
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings
from shared_contracts.events import UserSubscribed
from uuid_utils.compat import uuid7

from tests.mails.smtp_server import Mailbox

PAID_TO_MAIL = "access_codes_paid_to_mail_seconds"

pytestmark = pytest.mark.django_db(transaction=True)


def read(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def open_mails() -> dict[str, float]:
    [family] = metrics.open_mails()
    return {sample.labels["state"]: sample.value for sample in family.samples}


def paid(seconds_ago: float) -> UUID:
    """The id (a UUID of version 7) of a subscription paid `seconds_ago`."""
    moment = int((time.time() - seconds_ago) * 1000)
    return UUID(int=(moment << 80) | (uuid7().int & ((1 << 80) - 1)))


def test_a_sent_mail_is_counted_with_the_time_since_the_payment(mailbox: Mailbox) -> None:
    count, total = (
        "access_codes_paid_to_mail_seconds_count",
        "access_codes_paid_to_mail_seconds_sum",
    )
    before = read(count), read(total), read("access_codes_mails_total", state="sent")
    deliver(an_envelope(UserSubscribed, subscription_id=paid(100)))
    assert open_mails() == {"pending": 1}
    sending.send_due_mails(lambda: True)

    assert read("access_codes_mails_total", state="sent") - before[2] == 1
    assert read(count) - before[0] == 1
    assert read(total) - before[1] == pytest.approx(100, abs=30)
    assert open_mails() == {}


def test_a_suppressed_mail_is_counted_as_such(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_DAILY_CAP = 1
    before = read("access_codes_mails_total", state="suppressed")
    deliver(an_envelope(UserSubscribed), an_envelope(UserSubscribed))
    MailIntent.objects.update(created_at=timezone.now() - timedelta(days=8))
    sending.send_due_mails(lambda: True)

    assert read("access_codes_mails_total", state="suppressed") - before == 1
