"""A mail server that refuses us holds the queue: no mail is to blame, and one tries for all."""

from __future__ import annotations

import pytest
from access_codes import metrics, tasks
from access_codes.mails import outage, sending
from access_codes.mails.composing import Mail
from access_codes.mails.letters import Letters
from access_codes.models import MailIntent, Revocation
from admit_one.tasks.runs import stopping
from django.utils import timezone
from pytest_django import Settings

from tests.mails.scripted_server import ScriptedServer
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State

OUR_FAULT = [
    "554 5.7.0 Message limit for codes@shop.example exceeded. Try again later",
    "550 5.4.5 Daily user sending quota exceeded",
    "554 5.7.1 Relay access denied",
    "554 Relay access denied",
    "530 5.7.0 Authentication required",
    "535 5.7.8 Authentication credentials invalid",
]


def subscribe_many(count: int = 30) -> None:
    subscribe(*(f"user{n}@example{n % 4}.com" for n in range(count)))


def states() -> dict[str, int]:
    states: dict[str, int] = {}
    for state in MailIntent.objects.values_list("state", flat=True):
        states[state] = states.get(state, 0) + 1
    return states


def let_it_try() -> None:
    """So much time passes that a held queue has one try."""
    sending.outage._rest_until = 0.0
    sending.send_due_mails(always)


def held_gauge() -> float:
    [family] = metrics.HELD.collect()
    return family.samples[0].value


def held(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "refuses us" in text]


@pytest.mark.parametrize("refusal", OUR_FAULT)
@pytest.mark.parametrize("at", ["RCPT", "dot"])
def test_mails_refused_alike_in_a_row_hold_the_queue(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture, refusal: str, at: str
) -> None:
    subscribe_many()
    scripted.play(**{at: f"{refusal}\r\n"})

    sending.send_due_mails(always)
    for _ in range(40):
        let_it_try()

    assert states() == {State.PENDING: 30}
    assert undeliverable() == []
    assert max(MailIntent.objects.values_list("attempts", flat=True)) == 1
    [line] = held(caplog)
    assert refusal[:10] in line
    assert held_gauge() == 1

    scripted.play()
    make_due()
    let_it_try()

    assert states() == {State.SENT: 30}
    assert held_gauge() == 0
    assert len([text for text in caplog.messages if "accepts us again" in text]) == 1


def test_refusals_on_all_connections_hold_the_queue(mailbox: Mailbox) -> None:
    mailbox.answer_data = "554 5.7.1 Relay access denied"
    mailbox.pause_at_data = 0.02
    subscribe_many()

    sending.send_due_mails(always)
    for _ in range(20):
        let_it_try()

    assert states() == {State.PENDING: 30}
    assert max(MailIntent.objects.values_list("attempts", flat=True)) <= 1
    assert sending.outage.held

    mailbox.answer_data = ""
    make_due()
    let_it_try()

    assert states() == {State.SENT: 30}


def test_so_many_refusals_of_one_domain_hold_nothing(scripted: ScriptedServer) -> None:
    subscribe(*(f"user{n}@example.com" for n in range(10)))
    scripted.play(RCPT="550 5.7.1 We do not like your mails\r\n")

    assert sending.send_due_mails(always) == 10

    assert not sending.outage.held
    assert states() == {State.PENDING: 10}


def test_a_mail_that_is_accepted_begins_the_row_again(mailbox: Mailbox, settings: Settings) -> None:
    settings.EMAIL_CONNECTIONS = 1
    refused = [f"a{n}@example{n}.com" for n in range(8)]
    for address in refused:
        mailbox.answer_rcpt[address] = "554 5.7.1 no"
    subscribe(*refused[:4], "bob@example.com", *refused[4:])

    assert sending.send_due_mails(always) == 9

    assert not sending.outage.held


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("greeting", "554 5.7.1 We do not talk to you"),
        ("HELO", "504 5.5.2 <a1b2c3>: Helo command rejected: need fully-qualified hostname"),
        ("MAIL", "530 5.7.0 Authentication required"),
        ("MAIL", "550 5.7.60 not allowed to send as this sender"),
        ("MAIL", "553 5.1.8 Sender address rejected: Domain not found"),
    ],
)
def test_a_refusal_before_the_recipient_holds_the_queue_at_once(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture, step: str, reply: str
) -> None:
    subscribe_many(3)
    refused = {"EHLO": f"{reply}\r\n"} if step == "HELO" else {}
    scripted.play(**refused, **{step: f"{reply}\r\n"})

    for _ in range(10):
        let_it_try()

    assert len(scripted.records) == 10
    assert states() == {State.PENDING: 3}
    assert set(MailIntent.objects.values_list("attempts", flat=True)) == {0}
    [line] = held(caplog)
    assert reply.partition(" <")[0][:12] in line
    assert outage.FIRST_HOLD / 2 <= sending.outage.rest <= outage.LONGEST_HOLD

    scripted.play()
    let_it_try()

    assert states() == {State.SENT: 3}


@pytest.mark.parametrize("reply", ["421 4.3.2 closing", "451 4.3.0 not now"])
def test_a_temporary_refusal_holds_the_queue_if_it_lasts(
    scripted: ScriptedServer, reply: str
) -> None:
    subscribe_many(3)
    scripted.play(greeting=f"{reply}\r\n")

    let_it_try()
    assert not sending.outage.held
    assert 0 < sending.outage.rest <= outage.FIRST_PAUSE

    let_it_try()
    let_it_try()
    assert sending.outage.held


def test_while_held_another_mail_tries_each_time(scripted: ScriptedServer) -> None:
    subscribe_many(12)
    scripted.play(RCPT="554 5.7.1 Relay access denied\r\n")
    sending.send_due_mails(always)
    assert len(scripted.records) == 1
    scripted.records.clear()

    for _ in range(7):
        let_it_try()
        assert sending.send_due_mails(always) == 0  # until the pause is over

    tried = [
        command
        for record in scripted.records
        for command in record.commands
        if command.startswith("RCPT")
    ]
    assert len(tried) == 7
    assert len(set(tried)) == 7


def test_a_try_is_not_used_up_by_mails_that_must_not_be_sent(scripted: ScriptedServer) -> None:
    subscribe_many(12)
    scripted.play(MAIL="530 5.7.0 Authentication required\r\n")
    sending.send_due_mails(always)
    assert sending.outage.held
    for intent in MailIntent.objects.order_by("id")[:10]:
        Revocation.objects.create(pk=intent.access_code_id, revoked_at=timezone.now())
    scripted.play()

    let_it_try()

    assert states() == {State.WITHDRAWN: 10, State.SENT: 2}
    assert not sending.outage.held


def test_a_try_is_not_used_up_by_a_mail_that_cannot_be_composed(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe_many(12)
    scripted.play(MAIL="530 5.7.0 Authentication required\r\n")
    sending.send_due_mails(always)
    assert sending.outage.held
    scripted.play()
    compose = Letters.compose

    def broken(self: Letters, intent: MailIntent) -> Mail:
        if intent.address == "user1@example1.com":  # the next
            raise ZeroDivisionError
        return compose(self, intent)

    monkeypatch.setattr(Letters, "compose", broken)
    let_it_try()

    assert states() == {State.PENDING: 1, State.SENT: 11}
    assert not sending.outage.held


def test_a_run_does_not_wait_for_a_held_queue(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe_many(2)
    scripted.play(MAIL="530 5.7.0 Authentication required\r\n")
    waited: list[float] = []
    monkeypatch.setattr(stopping, "wait", waited.append)

    tasks.send_pending_mails()

    assert waited == []
    assert sending.outage.held
