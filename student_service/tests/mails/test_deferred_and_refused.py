"""A mail that the server does not accept is retried, or given up and reported."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.mails import finishing, sending
from access_codes.models import MailIntent
from django.utils import timezone
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State


def test_a_deferred_mail_is_sent_later_unchanged(mailbox: Mailbox) -> None:
    mailbox.answer_rcpt["ada@example.com"] = "450 4.2.1 <ada@example.com>: mailbox is busy"
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    assert sending.send_due_mails(always) == 2

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert bob.state == State.SENT
    assert (ada.state, ada.attempts) == (State.PENDING, 1)
    assert ada.next_attempt_at is not None
    assert ada.next_attempt_at > timezone.now() + timedelta(seconds=10)
    assert ada.last_error.startswith("450 4.2.1")
    assert "ada@example.com" not in ada.last_error

    code = ada.access_code.code
    mailbox.answer_rcpt.clear()
    make_due()
    sending.send_due_mails(always)

    assert mailbox.recipients == ["bob@example.com", "ada@example.com"]
    assert mailbox.mails[1]["Message-ID"] == ada.message_id
    assert code in in_clear(mailbox.mails[1])


def test_the_pauses_grow_and_after_the_last_attempt_the_mail_fails(mailbox: Mailbox) -> None:
    mailbox.answer_rcpt["ada@example.com"] = "450 not now"
    (intent,) = subscribe("ada@example.com")
    pauses = []
    for _ in range(finishing.MAX_ATTEMPTS):
        make_due()
        sending.send_due_mails(always)
        intent.refresh_from_db()
        if intent.next_attempt_at:
            pauses.append((intent.next_attempt_at - timezone.now()).total_seconds())

    assert len(pauses) == finishing.MAX_ATTEMPTS - 1
    assert pauses[0] <= finishing.FIRST_PAUSE
    assert all(later > 1.5 * first for first, later in zip(pauses, pauses[2:8], strict=False))
    assert max(pauses) <= finishing.LONGEST_PAUSE
    assert intent.state == State.FAILED
    assert intent.last_error == "given up after 20 attempts: 450 not now"


@pytest.mark.parametrize("refuse", ["rcpt", "data"])
def test_a_refused_mail_is_reported_and_the_others_are_sent(mailbox: Mailbox, refuse: str) -> None:
    [ada] = subscribe("ada@example.com")
    if refuse == "rcpt":
        mailbox.answer_rcpt["ada@example.com"] = "550 5.1.1 no such user"
    else:
        mailbox.answer_data = "550 5.1.1 no such user"

    sending.send_due_mails(always)
    mailbox.answer_data = ""
    _, bob = subscribe("bob@example.com")
    sending.send_due_mails(always)

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.next_attempt_at) == (State.FAILED, None)
    assert ada.last_error == "550 5.1.1 no such user"
    assert bob.state == State.SENT
    assert mailbox.recipients == ["bob@example.com"]
    reports = undeliverable()
    assert [event.subscription_id for event in reports] == [ada.access_code_id]
    assert reports[0].reason == "550 5.1.1 no such user"


@pytest.mark.parametrize(
    "address",
    ["jürgen@example.com", f"a@{'x' * 80}.example", "a@x，y.com", "a@x＞.com", "a@x。com"],
)
def test_a_mail_to_an_unusable_address_fails_with_the_reason(
    mailbox: Mailbox, address: str
) -> None:
    subscribe(address, "bob@example.com")

    sending.send_due_mails(always)

    failed = MailIntent.objects.get(state=State.FAILED)
    assert failed.last_error == "its address is not valid in a mail"
    assert [event.subscription_id for event in undeliverable()] == [failed.access_code_id]
    assert mailbox.recipients == ["bob@example.com"]


def test_a_domain_in_another_script_is_sent_in_punycode(mailbox: Mailbox) -> None:
    subscribe("ada@bücher.example")

    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@xn--bcher-kva.example"]


def test_a_code_whose_key_is_gone_waits_for_the_key(mailbox: Mailbox, settings: Settings) -> None:
    (intent,) = subscribe("ada@example.com")
    keys = settings.SEALING_KEYS
    settings.SEALING_KEYS = {"new": b"n" * 32}

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (State.PENDING, 1)
    assert "SEALING_KEYS does not list" in intent.last_error

    settings.SEALING_KEYS = {"new": b"n" * 32, **keys}
    make_due()
    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@example.com"]
