"""`manage.py mails` lists mails, and finishes or resends them."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from access_codes.mails import by_hand, sending
from access_codes.models import MailIntent
from admit_one.acts.models import Act
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.sealing.canaries import WrongKey, canary
from admit_one.sealing.models import KeyCanary
from django.core.management import CommandError, call_command
from django.utils import timezone
from shared_contracts.events import AccessCodeUndeliverable, UserSubscribed

from tests.mails.smtp_server import Mailbox

pytestmark = pytest.mark.django_db
State = MailIntent.State


@pytest.fixture
def intent() -> MailIntent:
    """A mail in doubt that waits for an operator."""
    deliver(an_envelope(UserSubscribed, email="ada@example.com"))
    intent = MailIntent.objects.get()
    MailIntent.objects.claim([intent], 60)
    intent.doubt("the worker that was sending it ended", pause=None)
    return intent


def mails(*arguments: str) -> str:
    out = StringIO()
    call_command("mails", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def decide(intent: MailIntent, *decision: str) -> str:
    action, *options = decision
    return mails(action, str(intent.pk), *options, "--by", "bo", "--reason", "her mailbox was full")


def test_the_list_counts_mails_by_state_and_shows_no_address(intent: MailIntent) -> None:
    assert "unknown            1" in mails("list")
    listed = mails("list", "--state", "unknown")
    assert str(intent.pk) in listed
    assert "ada@" not in listed
    assert mails("list", "--state", "failed") == "no mail is failed\n"


def test_a_mail_finished_as_sent_is_not_sent_again(intent: MailIntent, mailbox: Mailbox) -> None:
    decide(intent, "finish", "--as", "sent")
    sending.send_due_mails(lambda: True)

    intent.refresh_from_db()
    assert (intent.state, intent.last_error) == (
        State.SENT,
        "finished as sent by bo: her mailbox was full",
    )
    assert mailbox.mails == []


def test_a_resent_mail_keeps_its_message_id(intent: MailIntent, mailbox: Mailbox) -> None:
    decide(intent, "resend")
    sending.send_due_mails(lambda: True)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts, intent.doubts) == (State.SENT, 1, 1)
    assert [mail["Message-ID"] for mail in mailbox.mails] == [intent.message_id]


def test_a_mail_finished_as_failed_is_reported_to_the_payment_side(intent: MailIntent) -> None:
    decide(intent, "finish", "--as", "failed")

    intent.refresh_from_db()
    [report] = [m.data for m in published() if isinstance(m.data, AccessCodeUndeliverable)]
    assert (intent.state, intent.next_attempt_at) == (State.FAILED, None)
    assert report.subscription_id == intent.access_code_id
    assert report.reason == "given up by an operator"
    assert "by bo: her mailbox was full" in intent.last_error


@pytest.mark.parametrize(
    "decision", [("resend",), *(("finish", "--as", state) for state in by_hand.FINISH)]
)
def test_a_mail_that_is_being_sent_is_not_changed(
    intent: MailIntent, decision: tuple[str, ...]
) -> None:
    MailIntent.objects.claim([intent], 60)

    with pytest.raises(CommandError, match="1 of 1 mails were not changed"):
        decide(intent, *decision)

    intent.refresh_from_db()
    assert intent.state == State.SENDING


def test_an_address_in_the_reason_is_masked(intent: MailIntent) -> None:
    mails("finish", str(intent.pk), "--as", "sent", "--reason", "ada@example.com called")

    intent.refresh_from_db()
    assert intent.sent_at is not None
    assert intent.sent_at <= timezone.now()
    assert "ada@example.com" not in intent.last_error


def test_nothing_is_changed_with_a_wrong_key(intent: MailIntent) -> None:
    KeyCanary.objects.create(setting="CODE_LOOKUP_KEY", key_id="", value=canary(b"of another key"))

    with pytest.raises(WrongKey, match="CODE_LOOKUP_KEY: expected the key"):
        decide(intent, "resend")

    intent.refresh_from_db()
    assert intent.state == State.UNKNOWN


def test_acts_record_who_made_each_decision_and_why(intent: MailIntent) -> None:
    MailIntent.objects.update(last_error="451 4.7.1 the first refusal")
    decide(intent, "finish", "--as", "failed")
    decide(intent, "resend")

    kept = Act.objects.order_by("id").values_list("area", "action", "by", "reason", "subject")
    subject = str(intent.access_code_id)
    assert list(kept) == [
        ("mails", "finish as failed", "bo", "her mailbox was full", subject),
        ("mails", "resend", "bo", "her mailbox was full", subject),
    ]
    first, second = (act.facts["last_error"] for act in Act.objects.order_by("id"))
    assert first == "451 4.7.1 the first refusal"
    assert "finished as failed by bo" in second


@pytest.fixture
def refused_mails() -> list[MailIntent]:
    """Two that were refused for our quota, an hour apart, and one that was refused otherwise."""
    addresses = ("ada@example.com", "bob@example.com", "eve@example.com")
    deliver(*(an_envelope(UserSubscribed, email=address) for address in addresses))
    intents = list(MailIntent.objects.order_by("id"))
    errors = ("550 5.4.5 Daily quota exceeded", "550 5.4.5 Daily QUOTA exceeded", "550 5.1.1 no")
    for hours, (intent, error) in enumerate(zip(intents, errors, strict=True)):
        MailIntent.objects.claim([intent], 60)
        intent.failed(error)
        MailIntent.objects.filter(pk=intent.pk).update(
            tried_at=datetime(2026, 11, 26, 9 + hours, tzinfo=UTC)
        )
    return intents


def states(intents: list[MailIntent]) -> list[str]:
    return [MailIntent.objects.get(pk=intent.pk).state for intent in intents]


@pytest.mark.parametrize(
    ("choice", "resent"),
    [
        (("--error", "quota"), [0, 1]),
        (("--error", "5.4.5", "--from", "2026-11-26T09:30"), [1]),
        (("--to", "2026-11-26T10:00+00:00"), [0]),
        (("--from", "2026-11-26T10:00", "--to", "2026-11-27"), [1, 2]),
        ((), [0, 1, 2]),
        (("--error", "no such error"), []),
    ],
)
def test_many_mails_are_resent_by_state_error_and_time(
    refused_mails: list[MailIntent], choice: tuple[str, ...], resent: list[int]
) -> None:
    options = ("resend", "--state", "failed", *choice, "--by", "bo", "--reason", "quota raised")

    rehearsed = mails(*options, "--dry-run")

    assert f"{len(resent)} mails would be due again; nothing was changed" in rehearsed
    assert states(refused_mails) == [State.FAILED] * 3
    assert Act.objects.count() == 0

    assert mails(*options) == f"{len(resent)} mails due again\n"
    assert states(refused_mails) == [
        State.PENDING if number in resent else State.FAILED for number in range(3)
    ]
    assert Act.objects.count() == len(resent)


def test_many_mails_are_finished_by_state_and_error(refused_mails: list[MailIntent]) -> None:
    done = mails(
        *("finish", "--as", "sent", "--state", "failed", "--error", "quota"),
        *("--by", "bo", "--reason", "they called"),
    )

    assert done == "2 mails finished as sent\n"
    assert states(refused_mails) == [State.SENT, State.SENT, State.FAILED]


def test_the_list_is_narrowed_in_the_same_way(refused_mails: list[MailIntent]) -> None:
    listed = mails("list", "--state", "failed", "--error", "5.1.1")

    assert [str(intent.pk) in listed for intent in refused_mails] == [False, False, True]


@pytest.mark.parametrize(
    "options",
    [(), ("--error", "quota"), ("--state", "failed", "01978f00-0000-7000-8000-000000000000")],
)
def test_half_a_choice_is_refused(options: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"--state"):
        mails("resend", *options, "--reason", "quota raised")


def test_mails_that_stop_others_are_counted_listed_and_lifted(intent: MailIntent) -> None:
    assert mails("list", "--stopped") == "no mailbox is stopped\n"
    intent.note(MailIntent.Reported.COMPLAINED)

    assert "stopped            1" in mails("list")
    listed = mails("list", "--stopped")
    assert f"{intent.pk}  code  subscription {intent.access_code_id}" in listed
    assert "complained" in listed
    assert "ada@" not in listed

    assert mails("lift", str(intent.pk), "--by", "bo", "--reason", "a mistake") == (
        f"{intent.pk}  lifted\n"
    )
    assert mails("list", "--stopped") == "no mailbox is stopped\n"
    with pytest.raises(CommandError, match="1 of 1 mails were not changed"):
        mails("lift", str(intent.pk), "--by", "bo", "--reason", "again")
    [act] = Act.objects.filter(action="lift")
    assert (act.by, act.reason, act.target) == ("bo", "a mistake", str(intent.pk))
