"""No row, lock, answer or lost commit costs the mails beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from access_codes.mails import claims, handing_over, results, sending, smtp
from access_codes.mails.outage import Outage
from access_codes.mails.session import ServerUnavailable
from access_codes.models import MailIntent
from django.db import OperationalError, connection, connections, transaction
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, faults, for_seconds, make_due, subscribe
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
State = MailIntent.State

MANY = [f"user{n}@example.com" for n in range(60)]


def states() -> set[tuple[str, int, int]]:
    return set(MailIntent.objects.values_list("state", "attempts", "doubts"))


def mail_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "mail conn" in thread.name]


@pytest.mark.parametrize("kind", ["nonsense", "expiring_soon"])
def test_rows_that_may_not_be_sent_hold_no_mail_beside_a_slow_answer(
    mailbox: Mailbox, settings: Settings, kind: str
) -> None:
    settings.EMAIL_CONNECTIONS, settings.EMAIL_ACCEPT_TIMEOUT = 2, 30
    mailbox.slow[MANY[0]] = 3.0
    mails = subscribe(*MANY)
    MailIntent.objects.filter(pk__in=[mail.pk for mail in mails[1:41]]).update(kind=kind)

    assert sending.send_due_mails(always) == 20

    assert mailbox.recipients[-1] == MANY[0]
    sent = MailIntent.objects.filter(state=State.SENT).values_list("id", flat=True)
    assert set(sent) == {mail.pk for mail in (mails[0], *mails[41:])}


def test_claims_whose_commit_was_not_answered_are_given_back(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe(*MANY[:3])
    take, lost = claims.take, iter([None])
    has_claimed = False

    def taking(most: int, **options: Any) -> claims.Claimed:
        nonlocal has_claimed
        claimed = take(most, **options)
        has_claimed = bool(claimed.mails)
        return claimed

    @contextmanager
    def unanswered() -> Iterator[None]:
        with transaction.atomic():
            yield
        if has_claimed and next(lost, True) is None:
            raise OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(claims, "take", taking)
        patched.setattr(results, "transaction", SimpleNamespace(atomic=unanswered))
        patched.setattr(results, "database_works", lambda: False)
        with pytest.raises(OperationalError):
            sending.send_due_mails(always)
    assert sending.send_due_mails(always) == 3

    assert states() == {(State.SENT, 1, 0)}
    assert "mail_taken_over" not in caplog.text


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks of rows")
def test_a_locked_row_costs_only_its_own_result_time(mailbox: Mailbox) -> None:
    mails = subscribe(*MANY[:4])
    claimed, is_free = threading.Event(), threading.Event()

    def lock() -> None:
        eventually(lambda: mailbox.recipients)
        with transaction.atomic():
            list(MailIntent.objects.select_for_update().filter(pk=mails[3].pk))
            claimed.set()
            is_free.wait(60)
        connections.close_all()

    mailbox.slow[MANY[3]] = 0.5
    holder = threading.Thread(target=lock)
    holder.start()
    sending.send_due_mails(always)

    written = MailIntent.objects.order_by("id").values_list("state", flat=True)
    assert [*written][:3] == [State.SENT] * 3
    is_free.set()
    holder.join(10)
    sending.sender._results._alone_at = 0.0
    sending.send_due_mails(always)
    assert states() == {(State.SENT, 1, 0)}
    assert sorted(mailbox.recipients) == MANY[:4]


def test_a_fault_after_the_hand_over_costs_a_held_queue_one_mail(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(smtp.SmtpSession, "_finish", fails)
    held = Outage()
    held.unavailable(ServerUnavailable("550 go away", kind=5))
    held._rest_until = 0.0
    monkeypatch.setattr(sending, "outage", held)
    subscribe(*MANY[:5])

    assert sending.send_due_mails(for_seconds(1.0)) == 1

    assert MailIntent.objects.filter(state=State.UNKNOWN).count() == 1


def test_a_server_that_lets_in_after_the_run_gets_a_mail(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = handing_over.session

    def slow() -> object:
        threading.Event().wait(0.3)
        return session()

    monkeypatch.setattr(handing_over, "session", slow)
    subscribe(*MANY[:2])

    assert sending.send_due_mails(for_seconds(0.1)) == 1

    make_due()
    assert sending.send_due_mails(always) == 1


def test_a_deadlock_is_tried_again_at_once(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finished: Callable[[MailIntent], bool] = claims._is_finished
    failures = iter([None])

    def once(intent: MailIntent) -> bool:
        if next(failures, True) is None:
            raise OperationalError("deadlock detected")
        return finished(intent)

    monkeypatch.setattr(claims, "_is_finished", once)
    [mail] = subscribe("ada@example.com")
    MailIntent.objects.filter(pk=mail.pk).update(kind="resend", doubts=1)
    MailIntent.objects.filter(pk=mail.pk).update(tried_at=mail.created_at)

    assert sending.send_due_mails(always) == 1

    assert faults(caplog) == []


def test_what_a_fault_leaves_half_written_is_undone(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(intent: MailIntent) -> bool:
        intent.failed("half written")
        raise ZeroDivisionError

    monkeypatch.setattr(claims, "_is_finished", half)
    [odd, _] = subscribe(*MANY[:2])
    MailIntent.objects.filter(pk=odd.pk).update(kind="nonsense")

    assert sending.send_due_mails(always) == 1

    written = MailIntent.objects.order_by("id").values_list("state", flat=True)
    assert [*written] == [State.PENDING, State.SENT]
