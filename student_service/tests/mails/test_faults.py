"""A fault of ours costs no mail but the one that meets it, and ends no run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from access_codes.mails import again, handing_over, sending, smtp
from access_codes.mails.composing import Mail
from access_codes.mails.lease import Lease
from access_codes.mails.letters import Letters
from access_codes.models import MailIntent
from django.db import OperationalError
from django.utils import timezone

from tests.mails.scripted_server import ScriptedServer
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, faults, made_a_pause, make_due, outages, subscribe

pytestmark = pytest.mark.django_db
State = MailIntent.State

MANY = [f"user{n}@example.com" for n in range(12)]


def raises(error: BaseException) -> Callable[..., object]:
    def raising(*_: object) -> object:
        raise error

    return raising


def states() -> list[tuple[str, int]]:
    return list(MailIntent.objects.order_by("id").values_list("state", "attempts"))


def waits_a_minute(intent: MailIntent) -> bool:
    intent.refresh_from_db()
    assert intent.next_attempt_at is not None
    wait = intent.next_attempt_at - timezone.now()
    return timedelta(seconds=30) < wait <= timedelta(seconds=60)


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit()])
def test_a_mail_that_cannot_be_composed_waits(
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    compose = Letters.compose

    def broken(self: Letters, intent: MailIntent) -> Mail:
        if intent.address == MANY[7]:
            raise error
        return compose(self, intent)

    monkeypatch.setattr(Letters, "compose", broken)
    subscribe(*MANY)

    assert sending.send_due_mails(always) == 12

    assert sorted(mailbox.recipients) == sorted({*MANY} - {MANY[7]})
    assert states() == [(State.SENT, 1)] * 7 + [(State.PENDING, 1)] + [(State.SENT, 1)] * 4
    assert faults(caplog) == [("mail_cannot_be_handled", type(error))]


@pytest.mark.parametrize("fault", ["an unknown kind", "a bug", "a deadlock"])
def test_a_mail_that_cannot_be_claimed_waits_and_costs_no_other(
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    mails = subscribe(*MANY)
    error = OperationalError("deadlock") if fault == "a deadlock" else ValueError("broken")
    if fault == "an unknown kind":
        MailIntent.objects.filter(pk=mails[5].pk).update(kind="nonsense")
    else:
        why_withdrawn = again.why_withdrawn

        def broken(intent: MailIntent) -> str:
            if intent.pk == mails[5].pk:
                raise error
            return why_withdrawn(intent)

        monkeypatch.setattr(again, "why_withdrawn", broken)
        MailIntent.objects.filter(pk=mails[5].pk).update(tried_at=timezone.now())  # looked at again

    assert sending.send_due_mails(always) == 11

    assert sorted(mailbox.recipients) == sorted({*MANY} - {MANY[5]})
    assert states() == [(State.SENT, 1)] * 5 + [(State.PENDING, 0)] + [(State.SENT, 1)] * 6
    assert waits_a_minute(mails[5])
    assert faults(caplog) == [("mail_cannot_be_handled", type(error))]


def test_a_fault_before_the_hand_over_costs_no_attempt(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(smtp.SmtpSession, "_to_recipient", raises(ZeroDivisionError()))
    [mail] = subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 0

    assert states() == [(State.PENDING, 0)]
    assert waits_a_minute(mail)
    assert faults(caplog) == [("mail_cannot_be_handled", ZeroDivisionError)]
    assert outages(caplog) == []
    # No goodbye in the middle of a dialogue: nobody knows what it would be taken for.
    [record] = scripted.records
    assert record.commands[-1].startswith("MAIL")


def test_a_fault_after_the_hand_over_leaves_the_mail_in_doubt(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(smtp.SmtpSession, "_finish", raises(ZeroDivisionError()))
    [mail] = subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 1

    mail.refresh_from_db()
    assert (mail.state, mail.doubts, mail.attempts) == (State.UNKNOWN, 1, 1)
    assert faults(caplog) == [("mail_cannot_be_handled", ZeroDivisionError)]


def test_a_fault_while_connecting_makes_pauses_as_if_the_server_were_away(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = handing_over.session
    monkeypatch.setattr(handing_over, "session", raises(ZeroDivisionError()))
    subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 0

    assert made_a_pause()
    assert states() == [(State.PENDING, 0)]
    assert faults(caplog) == [("mail_connection_failed", ZeroDivisionError)]

    monkeypatch.setattr(handing_over, "session", session)
    sending.outage.end()
    assert sending.send_due_mails(always) == 1


def test_a_result_that_cannot_be_written_costs_no_other(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.pause_at_data = 0.05
    mailbox.answer_rcpt[MANY[9]] = "550 5.1.1 no such user"
    subscribe(*MANY)
    monkeypatch.setattr(MailIntent, "failed", raises(ZeroDivisionError()))

    assert sending.send_due_mails(always) == 12

    assert len(mailbox.mails) == 11
    assert states() == [(State.SENT, 1)] * 9 + [(State.SENDING, 1)] + [(State.SENT, 1)] * 2
    assert faults(caplog) == [("mail_result_dropped", ZeroDivisionError)]


def test_a_lost_lease_is_no_failure_of_the_server(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hand_over, losses = Lease.hand_over, iter([None])
    monkeypatch.setattr(
        Lease, "hand_over", lambda lease: bool(next(losses, True)) and hand_over(lease)
    )
    subscribe("ada@example.com")

    attempts = sending.send_due_mails(always)
    make_due()  # by SQLite's clock, it may not be in the same millisecond
    assert attempts + sending.send_due_mails(always) == 1

    assert states() == [(State.SENT, 1)]
    assert len(scripted.records) == 2
    assert len(scripted.contents) == 1
    assert [text for text in caplog.messages if "mail server" in text] == []
