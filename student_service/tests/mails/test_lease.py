"""A worker owns a mail until its lease ends."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from access_codes.mails import claims, finishing, lease, sending
from access_codes.mails.attempt import Attempt, Ending
from access_codes.mails.lease import Lease
from access_codes.models import MailIntent
from admit_one.messaging.testing import published
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State = MailIntent.State


def test_the_mail_of_a_dead_worker_is_sent_again_with_the_same_message_id(mailbox: Mailbox) -> None:
    (intent,) = subscribe("ada@example.com")
    MailIntent.objects.claim([intent], 60)

    assert sending.send_due_mails(always) == 0  # the worker may still be alive

    make_due()
    sending.send_due_mails(always)
    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (State.UNKNOWN, 1)
    assert mailbox.mails == []

    make_due()
    sending.send_due_mails(always)
    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (State.SENT, 2)
    assert [mail["Message-ID"] for mail in mailbox.mails] == [intent.message_id]


def test_only_workers_that_gave_a_copy_away_count_as_doubts(mailbox: Mailbox) -> None:
    """The first time nobody knows; from then on the doubt is written before the final dot."""
    (intent,) = subscribe("ada@example.com")
    for _ in range(5):  # each dies before it has said anything to the server
        MailIntent.objects.claim([MailIntent.objects.get()], 60)
        make_due()
        sending.send_due_mails(always)
    intent.refresh_from_db()
    assert (intent.state, intent.doubts) == (State.UNKNOWN, 1)
    assert intent.next_attempt_at is not None

    MailIntent.objects.claim([intent], 60)
    assert intent.hand_over(60)  # and this one just after the final dot
    make_due()
    sending.send_due_mails(always)

    intent = MailIntent.objects.get()
    assert (intent.state, intent.doubts, intent.next_attempt_at) == (State.UNKNOWN, 2, None)
    assert mailbox.mails == []


def test_a_worker_that_lost_a_mail_in_doubt_gives_no_second_copy_away() -> None:
    subscribe("ada@example.com")
    MailIntent.objects.update(doubts=1)
    stopped = MailIntent.objects.get()
    MailIntent.objects.claim([stopped], -1)
    other = MailIntent.objects.get()
    other.doubt("the worker that was sending it ended", pause=0)
    MailIntent.objects.claim([other], 60)

    assert not stopped.hand_over(60)
    assert MailIntent.objects.renew([stopped], 60) == set()
    assert other.attempts == 2


@pytest.mark.parametrize("ended", ["sent", "failed"])
@pytest.mark.parametrize("late", ["sent", "defer", "doubt", "release", "failed"])
def test_a_worker_whose_lease_has_ended_cannot_change_a_finished_mail(
    ended: str, late: str
) -> None:
    subscribe("ada@example.com")
    stopped = MailIntent.objects.get()
    MailIntent.objects.claim([stopped], -1)
    other = MailIntent.objects.get()
    other.doubt("the worker that was sending it ended", pause=0)
    MailIntent.objects.claim([other], 60)
    other.sent() if ended == "sent" else other.failed("550 no")
    before = MailIntent.objects.values().get()

    changes: dict[str, Callable[[], bool]] = {
        "sent": stopped.sent,
        "defer": lambda: stopped.defer("451 later", 30),
        "doubt": lambda: stopped.doubt("cut", 30),
        "release": stopped.release,
        "failed": lambda: finishing.give_up(stopped, stopped.failed, "550 no"),
    }
    assert not changes[late]()
    assert MailIntent.objects.values().get() == before
    assert undeliverable() == []


def test_mails_that_were_claimed_again_by_others_are_not_finished_with_the_rest() -> None:
    subscribe("ada@example.com", "bob@example.com")
    mails = list(MailIntent.objects.order_by("id"))
    MailIntent.objects.claim(mails, -1)
    other = MailIntent.objects.get(pk=mails[1].pk)
    other.doubt("the worker that was sending it ended", pause=0)
    MailIntent.objects.claim([other], 60)

    sent = Attempt(Ending.SENT, "250 taken")
    finishing.finish_all([(mail, sent) for mail in mails], held=False)

    states = MailIntent.objects.order_by("id").values_list("state", "attempts")
    assert list(states) == [(State.SENT, 1), (State.SENDING, 2)]
    assert [type(m.data).__name__ for m in published()].count("AccessCodeEmailed") == 1


def test_a_claim_that_was_released_is_no_later_ones() -> None:
    """Attempts go down again when a claim is released, so they cannot show whose a mail is."""
    [first] = subscribe("ada@example.com")
    MailIntent.objects.claim([first], 60)
    assert first.release()
    second = MailIntent.objects.get()
    MailIntent.objects.claim([second], 60)

    assert first.attempts == second.attempts
    assert not first.sent()
    assert MailIntent.objects.renew([first, second], 60) == {second.pk}


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (Ending.SENT, State.SENT),
        (Ending.DEFERRED, State.PENDING),
        (Ending.NOT_TRIED, State.PENDING),
        (Ending.LOST, State.UNKNOWN),
    ],
)
def test_a_late_answer_counts_until_another_worker_claims_the_mail(
    ending: Ending, state: str
) -> None:
    [stopped] = subscribe("ada@example.com")
    MailIntent.objects.claim([stopped], -1)
    finishing.finish(MailIntent.objects.get(), claims.WORKER_DIED)

    finishing.finish_all([(stopped, Attempt(ending, "late"))], held=False)

    intent = MailIntent.objects.get()
    assert (intent.state, intent.doubts) == (state, ending is Ending.LOST)


@pytest.mark.parametrize("ending", [Ending.SENT, Ending.NOT_TRIED, Ending.DEFERRED, Ending.LOST])
def test_what_is_written_twice_counts_once(
    ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer of a commit may be lost."""
    [intent] = subscribe("ada@example.com")
    MailIntent.objects.claim([intent], 60)
    ended = [(intent, Attempt(ending, "once", pause=1.0))]
    finishing.finish_all(ended, held=False)
    before = MailIntent.objects.values("state", "attempts", "doubts").get()

    finishing.finish_all(ended, held=False)

    assert MailIntent.objects.values("state", "attempts", "doubts").get() == before
    assert [text for text in caplog.messages if "took it over" in text] == []
    emailed = [m for m in published() if type(m.data).__name__ == "AccessCodeEmailed"]
    assert len(emailed) == (ending is Ending.SENT)


# the lease itself


def leased(*addresses: str, claimed_at: float | None = None) -> list[Lease]:
    mails = subscribe(*addresses)
    MailIntent.objects.claim(mails, 60)
    at = time.monotonic() if claimed_at is None else claimed_at
    return [Lease(mail, at, lambda asking: asking.allow()) for mail in mails]


def test_a_mail_is_handed_over_while_its_lease_lasts(settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 5
    now = time.monotonic()
    [young] = leased("ada@example.com", claimed_at=now - 9)
    [_, old] = leased("bob@example.com", claimed_at=now - 11)

    assert (young.hand_over(), young.is_handed_over) == (True, True)
    assert (old.hand_over(), old.is_handed_over) == (False, False)


def test_leases_that_are_due_are_renewed_by_one_statement(settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 5
    old = leased("ada@example.com", "bob@example.com", claimed_at=time.monotonic() - 11)
    other = MailIntent.objects.get(pk=old[1].intent.pk)
    MailIntent.objects.claim([other], 60)
    young = Lease(other, time.monotonic(), lambda _: None)

    with CaptureQueriesContext(connection) as queries:
        lease.renew([*old, young])

    assert len(queries) == 1
    assert [each.is_lost for each in (*old, young)] == [False, True, False]
    assert [each.hand_over() for each in (*old, young)] == [True, False, True]


def test_what_is_given_up_is_not_handed_over_afterwards() -> None:
    before, after = leased("ada@example.com", "bob@example.com")
    assert after.hand_over()

    assert (before.give_up(), after.give_up()) == (False, True)

    assert not before.hand_over()
    assert not after.keep()


@pytest.mark.parametrize("how", ["counted", "the database is away", "nobody answers", "given up"])
def test_a_further_copy_is_handed_over_only_if_its_doubt_is_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    settings.EMAIL_TIMEOUT = 0.05
    [intent] = subscribe("ada@example.com")
    MailIntent.objects.update(doubts=1)
    intent.refresh_from_db()
    MailIntent.objects.claim([intent], 60)
    # It lasts only if it is renewed with the doubt.
    at = time.monotonic() - 5
    asks = (lambda _: None) if how == "nobody answers" else Lease.allow
    further = Lease(intent, at, asks)
    if how == "given up":
        further.give_up()
    if how == "the database is away":
        monkeypatch.setattr(lease, "forget_connection", lambda: None)
        monkeypatch.setattr(MailIntent, "hand_over", raises(OperationalError("away")))

    assert further.hand_over() == (how == "counted")
    assert MailIntent.objects.get().doubts == (2 if how == "counted" else 1)


def raises(error: Exception) -> Callable[..., bool]:
    def raising(*_: object) -> bool:
        raise error

    return raising
