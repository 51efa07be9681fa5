"""`manage.py why`: where a subscription stands, why, and what happens next."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from admit_one.contract.errors import Rejected, Transient
from admit_one.messaging import inbox, outbox
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import doctor
from admit_one.messaging.broker.topology import ServiceTopology, declare
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import OutboxMessage, SetAside
from admit_one.messaging.outgoing.publisher import Publisher
from admit_one.messaging.outgoing.relay import Relay
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.set_aside.groups import short
from admit_one.messaging.testing import an_envelope
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.contract.topology import STUDENT
from tests.handlers import HANDLERS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def embedded(messaging, tmp_path):
    """A broker of our own, with this service's topology."""
    messaging(BROKER_URL=f"sqlite:///{tmp_path}/broker.sqlite3")
    connection = broker.connect("test")
    declare(connection, ServiceTopology(STUDENT))
    broker.close(connection)


@pytest.fixture
def away(messaging):
    messaging(BROKER_URL="amqp://guest:guest@127.0.0.1:1//")


def why(given, *arguments):
    out = io.StringIO()
    try:
        call_command("why", given, *arguments, stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def waits(given):
    return json.loads(why(given, "--json")[1])["waits"]


def publish():
    envelope = an_envelope(AccessCodeCreated)
    with transaction.atomic():
        outbox.publish(envelope)
    return envelope


def received():
    envelope = an_envelope(UserSubscribed)
    return envelope, Received.read(envelope.to_json(), queue="q")


def test_an_unknown_id_is_reported_as_unknown(embedded):
    code, said = why("019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10")

    assert code == 2
    assert "Nothing is known about it here." in said


def test_an_empty_id_is_unknown_and_not_every_unreadable_message(embedded):
    keeping.keep(Received.read(b"{", queue="q"), Transient("later"), dead=False)

    assert why(" ")[0] == 2
    assert why("", "--json")[0] == 2


def test_third_party_text_cannot_control_the_terminal(embedded):
    _, message = received()
    keeping.keep(message, Rejected(message.envelope, "\x1b]0;x\x07 \x9b31m \u202e"), dead=True)
    code, said = why(message.envelope.subject)
    code_of_json, as_json = why(message.envelope.subject, "--json")

    assert (code, code_of_json) == (1, 1)
    assert all(c.isprintable() or c == "\n" for c in said + as_json)


def test_a_finished_exchange_shows_the_time_of_each_step(embedded):
    envelope, message = received()
    inbox.process([message], HANDLERS)
    reply = envelope.follow(an_envelope(AccessCodeCreated).data)
    with transaction.atomic():
        outbox.publish(reply)
    OutboxMessage.objects.update(published_at=timezone.now(), subject=envelope.subject)

    code, said = why(envelope.subject)

    assert code == 0
    assert "user_subscribed handled" in said
    assert "access_code_created confirmed by the broker" in said
    assert "Finished" in said


@pytest.mark.parametrize("name", ["the subscription", "its event"])
def test_it_is_found_by_its_own_or_an_events_id(embedded, name):
    envelope = publish()
    given = envelope.subject.upper() if name == "the subscription" else envelope.id

    assert why(given)[0] == 1
    assert envelope.subject in why(given)[1]


def test_it_says_since_when_an_event_waits_for_the_broker(away):
    envelope = publish()
    OutboxMessage.objects.update(created_at=timezone.now() - timedelta(minutes=10))

    [wait] = waits(envelope.subject)

    assert wait["why"].startswith("access_code_created has waited in the outbox since ")
    assert "(10 min): the broker is unavailable: " in wait["why"]
    assert "once the broker is back" in wait["then"]


def test_it_says_that_no_queue_is_bound(embedded):
    """As the relay has found out when it tried, for this row and for those behind it."""
    envelope, behind = publish(), publish()
    OutboxMessage.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    connection = broker.connect("relay")
    name = STUDENT.exchange()
    Relay().relay_batch(Publisher(connection, name, STUDENT.name))
    broker.close(connection)

    for each in (envelope, behind):
        [wait] = waits(each.subject)
        assert "no queue is bound to student_service.events for access_code_created" in wait["why"]
    assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {0}


def test_it_says_when_a_refused_event_is_retried(embedded):
    envelope = publish()
    [row] = OutboxMessage.objects.all()
    OutboxMessage.objects.all().mark_refused(row.id, "refused for ada@example.com", 300)

    [wait] = waits(envelope.subject)

    assert (
        wait["why"]
        == "access_code_created is not published after 1 attempts: refused for a…@e….com"
    )
    assert wait["then"].startswith("The relay tries again at ")


def test_it_says_that_no_relay_runs_while_events_wait(embedded):
    envelope = publish()
    OutboxMessage.objects.update(created_at=timezone.now() - timedelta(minutes=10))

    [wait] = waits(envelope.subject)

    assert "the relay is not running, or has a backlog" in wait["why"]


def test_it_says_which_retry_is_due_and_when(embedded):
    envelope, message = received()
    keeping.keep(message, Transient("no room for 7K3M-Q9TX-2WBD-H5RN"), dead=False)

    [wait] = waits(envelope.subject)

    assert wait["why"] == (
        "user_subscribed could not be handled: Transient: no room for ****-****-****-****"
    )
    assert wait["then"].startswith("Retry 1 of 4 is due at ")


def test_it_names_the_group_of_a_dead_message_and_the_next_step(embedded):
    envelope, message = received()
    keeping.keep(message, Rejected(envelope, "another user"), dead=True)

    code, said = why(envelope.subject)

    assert code == 1
    assert "Stuck" in said
    group = short(SetAside.objects.get().fingerprint)
    assert f"user_subscribed is a dead letter in group {group}: another user" in " ".join(
        said.split()
    )
    assert "manage.py set_aside replay" in " ".join(said.split())


def test_it_reports_a_queue_that_is_missing_or_without_a_consumer(embedded):
    assert doctor.look().notes == (
        "payment_service.inbox does not exist: its messages wait in the outbox.",
        "Nobody consumes student_service.inbox.",
    )


def test_it_reads_well_on_a_phone(embedded, monkeypatch):
    monkeypatch.setenv("COLUMNS", "42")
    envelope, message = received()
    keeping.keep(message, Rejected(envelope, "a reason " * 20), dead=True)

    said = why(envelope.subject)[1]

    assert max(map(len, said.splitlines())) <= 42
