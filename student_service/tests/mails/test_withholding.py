"""What was paid with a test key is mailed to listed addresses only, whatever mail it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes import tasks
from access_codes.mails import by_hand, sending, withholding
from access_codes.models import AccessCode, MailIntent, Terms
from access_codes.reconciliation import grants
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.messaging.why import timeline
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeResendAnswered,
    AccessCodeResendRequested,
    AccessCodeRestored,
    UserSubscribed,
)
from uuid_utils.compat import uuid7

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always

pytestmark = pytest.mark.django_db

LISTED = frozenset({"ada@example.org", "@test.example"})


def paid(email: str = "ada@example.com", *, test: bool = True) -> AccessCode:
    request = an_envelope(UserSubscribed, email=email, test=test)
    deliver(request)
    return AccessCode.objects.get(pk=request.data.subscription_id)


def states() -> list[str]:
    return list(MailIntent.objects.order_by("created_at", "id").values_list("state", flat=True))


@pytest.mark.parametrize(
    ("address", "is_listed"),
    [
        ("ada@example.org", True),
        ("Ada@Example.ORG", True),
        ("anybody@test.example", True),
        ("ada+tag@example.org", False),
        ("ada@sub.test.example", False),
        ("ada@eviltest.example", False),
        ("ada@example.com", False),
        ("eve@test.example,ada@example.org", False),
        ("no address", False),
    ],
)
def test_an_address_is_listed_by_itself_or_by_its_domain(
    settings: Settings, address: str, is_listed: bool
) -> None:
    settings.TEST_MAIL_ADDRESSES = LISTED

    assert withholding.is_listed(address) is is_listed


def test_by_default_no_test_is_mailed_and_its_code_is_reported(mailbox: Mailbox) -> None:
    paid()
    at_once = states()
    sending.send_due_mails(always)

    assert (at_once, states()) == (["withheld"], ["withheld"])
    assert mailbox.mails == []
    assert [type(message.data) for message in published()] == [AccessCodeCreated]


def test_a_listed_address_gets_the_mails_of_tests(settings: Settings, mailbox: Mailbox) -> None:
    settings.TEST_MAIL_ADDRESSES = LISTED
    paid("ada@test.example")
    paid("ada@example.com")
    sending.send_due_mails(always)

    assert [mail["To"] for mail in mailbox.mails] == ["ada@test.example"]
    assert sorted(states()) == ["sent", "withheld"]


def test_other_mails_in_the_same_batch_are_sent(mailbox: Mailbox) -> None:
    deliver(
        an_envelope(UserSubscribed, email="test@example.com", test=True),
        an_envelope(UserSubscribed, email="real@example.com"),
    )
    sending.send_due_mails(always)

    assert [mail["To"] for mail in mailbox.mails] == ["real@example.com"]


def test_a_list_that_became_shorter_counts_for_what_waits(
    settings: Settings, mailbox: Mailbox
) -> None:
    settings.TEST_MAIL_ADDRESSES = LISTED
    paid("ada@test.example")
    settings.TEST_MAIL_ADDRESSES = frozenset()
    sending.send_due_mails(always)

    assert (mailbox.mails, states()) == ([], ["withheld"])


def test_mailed_again_or_warned_it_is_withheld_too(mailbox: Mailbox) -> None:
    row = paid()
    deliver(Envelope.of(AccessCodeResendRequested(subscription_id=row.pk, version=1)))
    soon = timezone.now() + timedelta(days=1)
    Terms.objects.create(pk=row.pk, version=1, valid_until=soon)
    AccessCode.objects.update(issued_at=soon - timedelta(days=30))
    tasks.remind_expiring()
    sending.send_due_mails(always)

    assert states() == ["withheld"] * 3
    assert mailbox.mails == []
    [answer] = [m.data for m in published() if isinstance(m.data, AccessCodeResendAnswered)]
    assert answer.refused is None


def test_a_restored_test_stays_one_and_is_reported_as_one() -> None:
    deliver(an_envelope(AccessCodeRestored, email="ada@example.com", test=True))

    row = AccessCode.objects.get()
    report = grants.grant(grants.with_codes([row.pk])[row.pk], uuid7())
    assert (row.test, states()) == (True, ["withheld"])
    assert report is not None
    assert report.test is True


def test_an_operator_can_send_it_once_the_address_is_listed(
    settings: Settings, mailbox: Mailbox
) -> None:
    row = paid()
    [mail] = MailIntent.objects.all()
    by_hand.resend(mail.pk, by="ada", reason="too early")
    sending.send_due_mails(always)
    before = states()
    settings.TEST_MAIL_ADDRESSES = frozenset({"@example.com"})
    by_hand.resend(mail.pk, by="ada", reason="listed now")
    sending.send_due_mails(always)

    assert (before, states()) == (["withheld"], ["sent"])
    assert len(mailbox.mails) == 1
    assert row.test


def test_why_says_that_it_was_withheld() -> None:
    row = paid()

    whats = [step.what for step in timeline.of(str(row.pk)).steps]
    assert "mail withheld: a test, whose address is not in TEST_MAIL_ADDRESSES" in whats
