"""Each due mail is sent once, over one connection."""

from __future__ import annotations

import threading

import pytest
from access_codes.mails import sending
from access_codes.models import AccessCode, MailIntent
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, subscribe, times

pytestmark = pytest.mark.django_db
State = MailIntent.State


def test_the_mail_with_the_code_is_sent_to_its_recipient(mailbox: Mailbox) -> None:
    (intent,) = subscribe("ada@example.com")

    assert sending.send_due_mails(always) == 1

    intent.refresh_from_db()
    code = AccessCode.objects.get().code
    (mail,) = mailbox.mails
    assert mailbox.recipients == ["ada@example.com"]
    assert mail["To"] == "ada@example.com"
    assert mail["From"] == "Admit One <codes@admit-one.example>"
    assert mail["Message-ID"] == intent.message_id
    assert code in in_clear(mail, "plain")
    assert code in in_clear(mail, "html")
    assert (intent.state, intent.attempts, intent.next_attempt_at) == (State.SENT, 1, None)
    assert intent.sent_at is not None


def test_a_sent_mail_is_not_sent_again(mailbox: Mailbox) -> None:
    subscribe("ada@example.com")
    sending.send_due_mails(always)

    assert sending.send_due_mails(always) == 0

    assert len(mailbox.mails) == 1


def test_many_mails_go_over_one_connection(mailbox: Mailbox) -> None:
    subscribe(*(f"user{n}@example.com" for n in range(20)))

    assert sending.send_due_mails(always) == 20

    assert mailbox.recipients == [f"user{n}@example.com" for n in range(20)]
    assert mailbox.connections == 1


def test_a_mail_costs_three_queries(mailbox: Mailbox) -> None:
    """Each query is a round trip, which limits the mails that a worker can send."""
    subscribe(*(f"user{n}@example.com" for n in range(11)))
    counts = []
    for mails in (1, 10):
        with CaptureQueriesContext(connection) as queries:
            assert sending.send_due_mails(times(mails + 1)) == mails
        verbs = [query["sql"].split()[0] for query in queries.captured_queries]
        counts.append(sum(verb in {"SELECT", "UPDATE"} for verb in verbs))

    assert counts[1] - counts[0] == 9 * 3


def test_a_server_that_limits_mails_per_session_gets_all_mails(
    mailbox: Mailbox,
) -> None:
    mailbox.mails_per_connection = 4
    subscribe(*(f"user{n}@example.com" for n in range(10)))

    assert sending.send_due_mails(always) == 10

    assert len(mailbox.mails) == 10
    assert mailbox.connections == 3
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


def test_a_stopping_worker_finishes_the_mail_in_hand_and_claims_no_other(mailbox: Mailbox) -> None:
    subscribe("ada@example.com", "bob@example.com")

    sending.send_due_mails(times(2))

    assert mailbox.recipients == ["ada@example.com"]
    states = MailIntent.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == [State.SENT, State.PENDING]


@pytest.mark.django_db(transaction=True)
def test_several_workers_at_once_send_each_mail_once(mailbox: Mailbox) -> None:
    subscribe(*(f"user{n}@example.com" for n in range(40)))
    start = threading.Barrier(4)
    errors: list[BaseException] = []

    def worker() -> None:
        try:
            start.wait(10)
            while MailIntent.objects.due().exists():
                sending.send_due_mails(always)
        except BaseException as error:  # noqa: BLE001 (reported below)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert errors == []
    assert sorted(mailbox.recipients) == sorted(f"user{n}@example.com" for n in range(40))
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}
