"""A user is warned once that a code expires soon, and never by a mail that holds no more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from access_codes import expiring, operating, redeeming, tasks
from access_codes.mails import finishing, sending
from access_codes.models import AccessCode, MailIntent, Terms
from access_codes.redeeming import Question
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.tasks.runs import stopping
from django.db import connection, connections, transaction
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeExpiringSoon,
    AccessCodeResendRequested,
    AccessTermsChanged,
    SubscriptionCancelled,
    UserSubscribed,
)

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, undeliverable

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
WHY = {"by": "ada", "reason": "a test"}


@pytest.fixture(autouse=True)
def worker_runs() -> Iterator[None]:
    """Another test may have stopped a worker in this process."""
    stopping.clear()
    yield
    stopping.clear()


def ending(days: float = 3, **terms: Any) -> AccessCode:
    """A code that has been known for a month to end in so many days."""
    until = timezone.now() + days * DAY
    request = an_envelope(
        UserSubscribed, email="ada@example.com", version=1, valid_until=until, **terms
    )
    deliver(request)
    month_ago = timezone.now() - 30 * DAY
    AccessCode.objects.filter(pk=request.data.subscription_id).update(issued_at=month_ago)
    Terms.objects.filter(pk=request.data.subscription_id).update(ends_since=month_ago)
    return AccessCode.objects.get(pk=request.data.subscription_id)


def change(row: AccessCode, **terms: Any) -> None:
    before = Terms.objects.get(pk=row.pk)
    deliver(
        Envelope.of(
            AccessTermsChanged(
                subscription_id=row.pk,
                version=before.version + 1,
                **{"valid_until": before.valid_until, "uses": before.uses, **terms},
            )
        )
    )


def reminders() -> list[MailIntent]:
    return list(MailIntent.objects.filter(kind="expiring_soon").order_by("created_at", "id"))


def reports() -> list[AccessCodeExpiringSoon]:
    return [m.data for m in published() if isinstance(m.data, AccessCodeExpiringSoon)]


def test_its_user_is_warned_once_and_so_is_the_payment_side() -> None:
    row = ending()
    for _ in range(3):
        tasks.remind_expiring()

    [mail] = reminders()
    assert (mail.address, mail.valid_until) == ("ada@example.com", row.terms.valid_until)
    [report] = reports()
    assert (report.subscription_id, report.valid_until) == (row.pk, row.terms.valid_until)


def test_the_mail_says_until_when_and_shows_no_code(mailbox: Mailbox) -> None:
    row = ending()
    tasks.remind_expiring()
    until = datetime(2099, 2, 3, 4, 5, tzinfo=UTC)
    Terms.objects.update(valid_until=until)
    MailIntent.objects.filter(kind="expiring_soon").update(valid_until=until)
    sending.send_due_mails(always)

    mail = mailbox.mails[-1]
    assert mail["Subject"] == "Your access expires soon"
    for kind in ("plain", "html"):
        assert "3 February 2099, 04:05 UTC" in in_clear(mail, kind)
        assert row.code not in in_clear(mail, kind)
    emailed = [m for m in published() if isinstance(m.data, AccessCodeEmailed)]
    assert len(emailed) == 1  # of the mail with the code


def test_a_mail_that_is_refused_is_not_reported_as_that_with_the_code(mailbox: Mailbox) -> None:
    ending()
    sending.send_due_mails(always)
    tasks.remind_expiring()
    mailbox.answer_rcpt["ada@example.com"] = "550 no such user"
    sending.send_due_mails(always)

    assert [mail.state for mail in reminders()] == ["failed"]
    assert undeliverable() == []


@pytest.mark.parametrize("days", [-1, 8])
def test_nobody_is_warned_too_early_or_afterwards(days: float) -> None:
    ending(days)
    tasks.remind_expiring()

    assert (reminders(), reports()) == ([], [])


def test_with_no_days_nobody_is_warned(settings: Settings) -> None:
    settings.EXPIRING_SOON_DAYS = 0
    ending()
    tasks.remind_expiring()

    assert (reminders(), reports()) == ([], [])


def test_a_code_paid_for_a_shorter_time_gets_no_mail() -> None:
    deliver(an_envelope(UserSubscribed, version=1, valid_until=timezone.now() + 3 * DAY))
    tasks.remind_expiring()

    assert (reminders(), reports()) == ([], [])


def test_a_renewal_for_a_shorter_time_gets_no_mail() -> None:
    row = ending()
    change(row, valid_until=timezone.now() + 5 * DAY)
    tasks.remind_expiring()

    assert (reminders(), reports()) == ([], [])


def test_a_change_that_leaves_its_end_does_not_make_it_new() -> None:
    row = ending()
    change(row, uses=7)
    tasks.remind_expiring()

    assert len(reminders()) == 1


def test_a_change_that_leaves_its_end_does_not_repeat_the_mail() -> None:
    row = ending()
    tasks.remind_expiring()
    change(row, uses=7)
    tasks.remind_expiring()

    assert (len(reminders()), len(reports())) == (1, 1)


def test_a_renewal_lets_it_be_warned_of_the_next_end() -> None:
    row = ending()
    tasks.remind_expiring()
    change(row, valid_until=timezone.now() + 40 * DAY)
    tasks.remind_expiring()
    first = len(reminders())
    Terms.objects.update(valid_until=timezone.now() + 2 * DAY, ends_since=timezone.now() - 38 * DAY)
    tasks.remind_expiring()

    assert (first, len(reminders()), len(reports())) == (1, 2, 2)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"valid_until": datetime(2099, 1, 1, tzinfo=UTC)}, "another time"),
        ({"valid_until": None}, "another time"),
        ({"suspended": True}, "suspended"),
    ],
)
def test_what_changed_before_the_mail_withdraws_it(
    mailbox: Mailbox, terms: dict[str, Any], why: str
) -> None:
    row = ending()
    sending.send_due_mails(always)
    tasks.remind_expiring()
    change(row, **terms)
    sending.send_due_mails(always)

    [mail] = reminders()
    assert (mail.state, why in mail.last_error) == ("withdrawn", True)
    assert len(mailbox.mails) == 1


def use_up(row: AccessCode) -> None:
    redeeming.redeem(Question(row.code), client="platform")


def cancel(row: AccessCode) -> None:
    deliver(an_envelope(SubscriptionCancelled, subscription_id=row.pk))


def suspend(row: AccessCode) -> None:
    operating.suspend(row.pk, 1, **WHY)


@pytest.mark.parametrize("end", [use_up, cancel, suspend])
def test_only_a_code_that_lets_in_is_warned(end: Any) -> None:
    row = ending(uses=1)
    end(row)
    tasks.remind_expiring()

    assert (reminders(), reports()) == ([], [])


@pytest.mark.parametrize("end", [use_up, cancel, suspend])
def test_what_ends_it_before_the_mail_withdraws_it(mailbox: Mailbox, end: Any) -> None:
    row = ending(uses=1)
    sending.send_due_mails(always)
    tasks.remind_expiring()
    end(row)
    sending.send_due_mails(always)

    assert [mail.state for mail in reminders()] == ["withdrawn"]
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("is_late", [True, False])
def test_a_suspension_that_is_lifted_lets_it_be_warned(mailbox: Mailbox, is_late: bool) -> None:
    """Also if its mail was written and withdrawn before."""
    row = ending()
    if is_late:
        tasks.remind_expiring()
    suspend(row)
    tasks.remind_expiring()
    sending.send_due_mails(always)
    operating.reinstate(row.pk, 1, **WHY)
    tasks.remind_expiring()
    sending.send_due_mails(always)

    assert [mail["Subject"] for mail in mailbox.mails].count("Your access expires soon") == 1


def test_a_suspension_that_is_lifted_while_its_mail_is_withdrawn_lets_it_be_warned(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at it then sees the mail, which is withdrawn only afterwards."""
    row = ending()
    tasks.remind_expiring()
    suspend(row)
    withdraw = finishing.withdraw

    def late(mail: MailIntent, reason: str) -> None:
        operating.reinstate(row.pk, 1, **WHY)
        tasks.remind_expiring()
        withdraw(mail, reason)

    with monkeypatch.context() as at_once:
        at_once.setattr(finishing, "withdraw", late)
        sending.send_due_mails(always)
    tasks.remind_expiring()
    sending.send_due_mails(always)

    assert [mail["Subject"] for mail in mailbox.mails].count("Your access expires soon") == 1


def test_more_uses_let_it_be_warned() -> None:
    row = ending(uses=1)
    use_up(row)
    tasks.remind_expiring()
    change(row, uses=2)
    tasks.remind_expiring()

    assert len(reminders()) == 1


def test_a_corrected_address_gets_the_mail_instead_of_the_old_one() -> None:
    row = ending()
    tasks.remind_expiring()
    event = AccessCodeResendRequested(subscription_id=row.pk, version=1, email="ada@example.org")
    deliver(Envelope.of(event))
    tasks.remind_expiring()

    assert [(mail.address, mail.state) for mail in reminders()] == [
        ("ada@example.com", "withdrawn"),
        ("ada@example.org", "pending"),
    ]


def test_batches_are_bounded_and_followed_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiring, "BATCH", 2)
    for _ in range(5):
        ending()
    in_one = expiring.remind_due()
    tasks.remind_expiring()

    assert (in_one, len(reminders()), len(reports())) == (2, 5, 5)


def test_a_run_that_dies_in_the_middle_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ending()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(expiring, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            expiring.remind_due()
    between = (len(reminders()), len(reports()))
    tasks.remind_expiring()

    assert (between, len(reminders()), len(reports())) == ((0, 0), 1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_tell_each_user_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiring, "BATCH", 3)
    for _ in range(12):
        ending()
    together = Barrier(2)

    def work(_: int) -> None:
        together.wait(timeout=30)
        try:
            tasks.remind_expiring()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as workers:
        list(workers.map(work, range(2)))
    tasks.remind_expiring()

    assert (len(reminders()), len(reports())) == (12, 12)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
@pytest.mark.django_db(transaction=True)
def test_a_code_in_use_is_left_for_the_next_run() -> None:
    row = ending()

    def work() -> int:
        try:
            return expiring.remind_due()
        finally:
            connections.close_all()

    with transaction.atomic(), ThreadPoolExecutor(1) as worker:
        AccessCode.objects.select_for_update().get(pk=row.pk)
        meanwhile = worker.submit(work).result(timeout=30)
    tasks.remind_expiring()

    assert (meanwhile, len(reminders())) == (0, 1)
