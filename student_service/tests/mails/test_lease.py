"""A worker owns a mail until its lease ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from access_codes.mails import finishing, sending
from access_codes.mails.attempt import Attempt, Ending
from access_codes.models import MailIntent
from admit_one.messaging.testing import published

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
    assert not stopped.renew(60)
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
