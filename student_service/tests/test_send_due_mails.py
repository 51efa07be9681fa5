from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

import pytest
from access_codes.mails import sending
from access_codes.models import AccessCode, MailIntent
from admit_one.messaging.testing import an_envelope, deliver, published
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import AccessCodeUndeliverable, UserSubscribed

from tests.smtp_server import Mailbox

pytestmark = pytest.mark.django_db
State = MailIntent.State


def always() -> bool:
    return True


def times(count: int) -> Callable[[], bool]:
    """True so many times."""
    answers = iter([True] * count)
    return lambda: next(answers, False)


def subscribe(*addresses: str) -> list[MailIntent]:
    """A code and its mail for each address, in this order."""
    deliver(*(an_envelope(UserSubscribed, email=address) for address in addresses))
    return list(MailIntent.objects.order_by("id"))


def in_clear(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content


def undeliverable() -> list[AccessCodeUndeliverable]:
    """What the payment side is told of mails that were given up."""
    return [m.data for m in published() if isinstance(m.data, AccessCodeUndeliverable)]


def make_due() -> None:
    MailIntent.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=timezone.now() - timedelta(seconds=1)
    )


def test_the_mail_carries_the_code_to_its_one_recipient(mailbox: Mailbox) -> None:
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


def test_a_mail_costs_three_questions_to_the_database(mailbox: Mailbox) -> None:
    """Each is a round trip, of which a worker on a busy machine makes few in a second."""
    subscribe(*(f"user{n}@example.com" for n in range(11)))
    asked = []
    for mails in (1, 10):
        with CaptureQueriesContext(connection) as queries:
            assert sending.send_due_mails(times(mails + 1)) == mails
        said = [query["sql"].split()[0] for query in queries.captured_queries]
        asked.append(sum(verb in {"SELECT", "UPDATE"} for verb in said))

    assert asked[1] - asked[0] == 9 * 3


def test_a_server_that_ends_each_connection_after_some_mails_gets_them_all(
    mailbox: Mailbox,
) -> None:
    mailbox.mails_per_connection = 4
    subscribe(*(f"user{n}@example.com" for n in range(10)))

    assert sending.send_due_mails(always) == 10

    assert len(mailbox.mails) == 10
    assert mailbox.connections == 3
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


def test_a_recipient_put_off_is_tried_again_later_with_the_same_mail(mailbox: Mailbox) -> None:
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


def test_the_pauses_grow_and_the_last_attempt_ends_it(mailbox: Mailbox) -> None:
    mailbox.answer_rcpt["ada@example.com"] = "450 not now"
    (intent,) = subscribe("ada@example.com")
    pauses = []
    for _ in range(sending.MOST_ATTEMPTS):
        make_due()
        sending.send_due_mails(always)
        intent.refresh_from_db()
        if intent.next_attempt_at:
            pauses.append((intent.next_attempt_at - timezone.now()).total_seconds())

    assert len(pauses) == sending.MOST_ATTEMPTS - 1
    assert pauses[0] <= sending.FIRST_PAUSE
    assert all(later > 1.5 * first for first, later in zip(pauses, pauses[2:8], strict=False))
    assert max(pauses) <= sending.LONGEST_PAUSE
    assert intent.state == State.FAILED
    assert intent.last_error == "given up after 20 attempts: 450 not now"


@pytest.mark.parametrize("refuse", ["rcpt", "data"])
def test_a_refusal_for_good_is_recorded_and_costs_the_neighbours_nothing(
    mailbox: Mailbox, refuse: str
) -> None:
    ada, bob = subscribe("ada@example.com", "bob@example.com")
    if refuse == "rcpt":
        mailbox.answer_rcpt["ada@example.com"] = "550 5.1.1 no such user"
    else:
        mailbox.answer_data = "550 5.1.1 no such user"

    sending.send_due_mails(times(2))
    mailbox.answer_data = ""
    sending.send_due_mails(always)

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.next_attempt_at) == (State.FAILED, None)
    assert ada.last_error == "550 5.1.1 no such user"
    assert bob.state == State.SENT
    assert mailbox.recipients == ["bob@example.com"]
    told = undeliverable()
    assert [event.subscription_id for event in told] == [ada.access_code_id]
    assert told[0].reason == "550 5.1.1 no such user"


@pytest.mark.parametrize("attempts", [0, sending.MOST_ATTEMPTS - 1])
def test_a_mail_lost_is_told_to_the_payment_side_when_no_attempt_is_left(
    mailbox: Mailbox, attempts: int
) -> None:
    mailbox.drop_after_data = True
    subscribe("ada@example.com")
    MailIntent.objects.update(attempts=attempts)

    sending.send_due_mails(always)

    assert len(undeliverable()) == (1 if attempts else 0)


def test_a_mail_in_doubt_waits_for_an_operator_if_so_configured(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_WHEN_UNKNOWN = "ask"
    mailbox.drop_after_data = True
    (intent,) = subscribe("ada@example.com")

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.next_attempt_at, intent.doubts) == (State.UNKNOWN, None, 1)


def test_a_mail_lost_on_the_way_is_unknown_and_goes_again_with_its_message_id(
    mailbox: Mailbox,
) -> None:
    mailbox.drop_after_data = True
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    assert sending.send_due_mails(always) == 1

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.attempts) == (State.UNKNOWN, 1)
    assert (bob.state, bob.attempts) == (State.PENDING, 0)  # a server in trouble is left alone

    mailbox.drop_after_data = False
    sending.outage.end()
    make_due()
    sending.send_due_mails(always)

    first, second, _ = mailbox.mails
    assert {first["Message-ID"], second["Message-ID"]} == {ada.message_id}
    assert in_clear(first) == in_clear(second)


def test_a_connection_lost_before_the_content_is_no_doubt(mailbox: Mailbox) -> None:
    mailbox.drop_at_rcpt = True
    ada, bob = subscribe("ada@example.com", "bob@example.com")

    sending.send_due_mails(always)

    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.state, ada.attempts) == (State.PENDING, 1)
    assert (bob.state, bob.attempts) == (State.PENDING, 0)


def test_a_silent_server_holds_a_worker_no_longer_than_the_timeout(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.EMAIL_TIMEOUT = 1
    mailbox.stall_at_data = True
    (intent,) = subscribe("ada@example.com")
    began = timezone.now()

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert intent.state == State.UNKNOWN
    assert timezone.now() - began < timedelta(seconds=4)


@pytest.mark.parametrize("fault", ["no server", "sender refused", "sender put off"])
def test_a_server_that_takes_no_mail_at_all_is_no_mails_fault(
    mailbox: Mailbox, settings: Settings, fault: str
) -> None:
    if fault == "no server":
        settings.EMAIL_PORT = 1
    mailbox.answer_mail_from = {"sender refused": "550 no", "sender put off": "451 no"}.get(
        fault, ""
    )
    subscribe("ada@example.com", "bob@example.com")

    assert sending.send_due_mails(always) == 0

    assert set(MailIntent.objects.values_list("state", "attempts", "last_error")) == {
        (State.PENDING, 0, "")
    }
    assert MailIntent.objects.due().count() == 2
    assert sending.outage.resting

    settings.EMAIL_PORT = mailbox.port
    mailbox.answer_mail_from = ""
    sending.outage.end()
    assert sending.send_due_mails(always) == 2


def test_an_outage_is_said_once(
    mailbox: Mailbox, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_PORT = 1
    subscribe("ada@example.com")
    for _ in range(5):
        sending.outage._rest_until = 0.0
        sending.send_due_mails(always)
    settings.EMAIL_PORT = mailbox.port
    sending.outage._rest_until = 0.0
    sending.send_due_mails(always)

    said = [
        record.getMessage() for record in caplog.records if "mail server" in record.getMessage()
    ]
    assert [text[:17] for text in said] == ["mail server away,", "mail server is ba"]


def test_mails_that_fail_together_make_the_rest_no_longer() -> None:
    sending.outage.begin("cut")
    rest = sending.outage.rest

    sending.outage.begin("cut")

    assert 0 < sending.outage.rest <= rest


def test_the_mail_of_a_worker_that_died_goes_again_with_its_message_id(mailbox: Mailbox) -> None:
    (intent,) = subscribe("ada@example.com")
    intent.claim(lease=60)

    assert sending.send_due_mails(always) == 0  # the worker may still live

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


@pytest.mark.parametrize("settled", ["sent", "failed"])
@pytest.mark.parametrize("late", ["sent", "put_off", "doubt", "release", "failed"])
def test_a_worker_that_comes_back_after_its_lease_changes_nothing_of_a_settled_mail(
    settled: str, late: str
) -> None:
    subscribe("ada@example.com")
    stopped = MailIntent.objects.get()
    stopped.claim(lease=-1)
    other = MailIntent.objects.get()
    other.doubt("the worker that was sending it ended", pause=0)
    other.claim(lease=60)
    other.sent() if settled == "sent" else other.failed("550 no")
    before = MailIntent.objects.values().get()

    changes: dict[str, Callable[[], bool]] = {
        "sent": stopped.sent,
        "put_off": lambda: stopped.put_off("451 later", 30),
        "doubt": lambda: stopped.doubt("cut", 30),
        "release": stopped.release,
        "failed": lambda: sending._give_up(stopped, stopped.failed, "550 no"),
    }
    assert not changes[late]()
    assert MailIntent.objects.values().get() == before
    assert undeliverable() == []


def test_a_recipient_gets_no_more_mails_a_day_than_the_cap(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_DAILY_CAP = 3
    subscribe(*["ada@example.com", "ADA@example.com"] * 3, "bob@example.com")

    sending.send_due_mails(always)

    assert [address.lower() for address in mailbox.recipients] == [
        *["ada@example.com"] * 3,
        "bob@example.com",
    ]
    held = MailIntent.objects.filter(state=State.SUPPRESSED)
    assert held.count() == 3
    assert {intent.last_error for intent in held} == {"3 mails to this address in 24 hours"}
    assert MailIntent.objects.due().count() == 0
    assert {event.subscription_id for event in undeliverable()} == {
        intent.access_code_id for intent in held
    }


def test_mails_of_yesterday_do_not_count(mailbox: Mailbox, settings: Settings) -> None:
    settings.MAIL_DAILY_CAP = 1
    subscribe("ada@example.com")
    sending.send_due_mails(always)
    MailIntent.objects.update(tried_at=timezone.now() - timedelta(hours=25))
    subscribe("ada@example.com")

    sending.send_due_mails(always)

    assert len(mailbox.mails) == 2


def test_a_mail_that_is_tried_again_does_not_count_against_itself(
    mailbox: Mailbox, settings: Settings
) -> None:
    settings.MAIL_DAILY_CAP = 1
    mailbox.drop_after_data = True
    (intent,) = subscribe("ada@example.com")
    sending.send_due_mails(always)
    mailbox.drop_after_data = False
    sending.outage.end()
    make_due()

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (State.SENT, 2)


def test_told_to_stop_it_finishes_the_mail_in_hand_and_takes_no_other(mailbox: Mailbox) -> None:
    subscribe("ada@example.com", "bob@example.com")

    sending.send_due_mails(times(2))

    assert mailbox.recipients == ["ada@example.com"]
    states = MailIntent.objects.order_by("id").values_list("state", flat=True)
    assert list(states) == [State.SENT, State.PENDING]


@pytest.mark.parametrize("address", ["jürgen@example.com", f"a@{'x' * 80}.example"])
def test_an_address_that_no_mail_can_carry_fails_with_the_reason(
    mailbox: Mailbox, address: str
) -> None:
    subscribe(address, "bob@example.com")

    sending.send_due_mails(always)

    failed = MailIntent.objects.get(state=State.FAILED)
    assert failed.last_error == "its address cannot be written in a mail"
    assert mailbox.recipients == ["bob@example.com"]


def test_a_domain_in_another_script_is_written_as_the_post_wants_it(mailbox: Mailbox) -> None:
    subscribe("ada@bücher.example")

    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@xn--bcher-kva.example"]


def test_a_code_whose_key_is_gone_waits_for_the_key(mailbox: Mailbox, settings: Settings) -> None:
    (intent,) = subscribe("ada@example.com")
    keys = settings.MESSAGING["SEALING_KEYS"]
    settings.MESSAGING = {**settings.MESSAGING, "SEALING_KEYS": {"new": b"n" * 32}}

    sending.send_due_mails(always)

    intent.refresh_from_db()
    assert (intent.state, intent.attempts) == (State.PENDING, 1)
    assert "SEALING_KEYS does not list" in intent.last_error

    settings.MESSAGING = {**settings.MESSAGING, "SEALING_KEYS": {"new": b"n" * 32, **keys}}
    make_due()
    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@example.com"]


@pytest.mark.django_db(transaction=True)
def test_several_workers_at_once_send_each_mail_once(mailbox: Mailbox) -> None:
    subscribe(*(f"user{n}@example.com" for n in range(40)))
    start = threading.Barrier(4)
    faults: list[BaseException] = []

    def worker() -> None:
        try:
            start.wait(10)
            while MailIntent.objects.due().exists():
                sending.send_due_mails(always)
        except BaseException as error:  # noqa: BLE001 (told below)
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert faults == []
    assert sorted(mailbox.recipients) == sorted(f"user{n}@example.com" for n in range(40))
    assert set(MailIntent.objects.values_list("state", "attempts")) == {(State.SENT, 1)}
