"""What `broker_doctor` reports about a wrongly set up broker, on both brokers."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import amqp
import pytest
from admit_one.messaging import conf
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.topology import ServiceTopology, declare
from admit_one.messaging.models import OutboxMessage
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from tests import rabbit
from tests.contract.topology import STUDENT
from tools.system.left_out import skip_without_rabbitmq

pytestmark = pytest.mark.django_db

P = f"doctor-{os.getpid()}."  # the tests on another database run at the same time


@pytest.fixture(params=["embedded", "rabbitmq"])
def connection(request, messaging, tmp_path, settings):
    """A broker without anything of ours, and a consumer-to-be's connection to it."""
    if request.param == "embedded":
        messaging(BROKER_URL=f"sqlite:///{tmp_path}/broker.sqlite3", BROKER_PREFIX=P)
    else:
        skip_without_rabbitmq()
        messaging(BROKER_PREFIX=P)
        rabbit.delete(P)
    connection = broker.connect("test")
    yield connection
    broker.drop(connection)
    if request.param == "rabbitmq":
        rabbit.delete(P)


@pytest.fixture
def topology(connection):
    """Everything as it is to be."""
    declare(connection, ServiceTopology(STUDENT, P))


@pytest.fixture
def consumers(connection, topology):
    """Somebody consumes both queues."""
    channel = connection.channel()
    for queue in ("inbox", "dead"):
        channel.basic_consume(f"{P}student_service.{queue}", callback=lambda _: None)


@pytest.fixture
def examined(capsys):
    """Run the command; its exit code, and what it says by what it says it of."""

    def run():
        code = 0
        try:
            call_command("broker_doctor", "--no-color")
        except SystemExit as ended:
            code = int(ended.code or 0)
        said: dict[str, str] = {}
        for line in capsys.readouterr().out.splitlines():
            verdict, _, rest = line.partition(" ")
            if verdict in {"fine", "wrong", "unseen"}:
                what, _, says = rest.strip().partition(": ")
                known = said.get(name := what.replace(P, ""), "")
                said[name] = f"{known}; {verdict}: {says}" if known else f"{verdict}: {says}"
        return code, said

    return run


@contextmanager
def changed(connection):
    with connection.channel() as channel:
        yield channel


def an_event(seconds: float, kind: str = "access_code_created", **fields) -> OutboxMessage:
    """One in the outbox, written so long ago."""
    row = OutboxMessage.objects.create(event_id="e", type=kind, subject="s", body=b"")
    at = Now() - timedelta(seconds=seconds)
    OutboxMessage.objects.filter(id=row.id).update(created_at=at, **fields)
    return row


def test_a_correct_broker_passes(consumers, examined):
    code, said = examined()

    assert code == 0
    assert said["exchange student_service.events"] == "fine: direct"
    assert said["queue student_service.inbox"] == "fine: 0 waiting, 1 consuming"
    assert said["queue student_service.dead"] == "fine: 0 waiting, 1 consuming"
    assert said["bindings"].startswith("unseen: ")


def test_missing_objects_are_reported_and_not_declared(connection, examined):
    first, again = examined(), examined()

    assert first == again
    code, said = first
    assert code == 1
    assert [what for what, says in said.items() if says == "wrong: it is missing"] == [
        "exchange student_service.events",
        "exchange payment_service.events",
        "exchange student_service.dead",
        "queue student_service.inbox",
        "queue student_service.dead",
    ]


def test_a_missing_dead_letter_target_is_reported(connection, consumers, examined):
    with changed(connection) as channel:
        channel.exchange_delete(f"{P}student_service.dead")

    code, said = examined()
    assert code == 1
    assert said["exchange student_service.dead"] == "wrong: it is missing"


def test_a_queue_with_different_arguments_is_reported_with_the_argument(
    connection, topology, examined
):
    with changed(connection) as channel:
        channel.queue_delete(f"{P}student_service.inbox")
        channel.queue_declare(f"{P}student_service.inbox", durable=True, auto_delete=False)

    code, said = examined()
    assert code == 1
    assert "wrong: it was declared differently" in said["queue student_service.inbox"]
    assert "inequivalent arg 'x-" in said["queue student_service.inbox"]


def test_an_exchange_of_the_wrong_type_is_reported(connection, topology, examined):
    with changed(connection) as channel:
        channel.exchange_delete(f"{P}student_service.events")
        channel.exchange_declare(
            f"{P}student_service.events", "fanout", durable=True, auto_delete=False
        )

    code, said = examined()
    assert code == 1
    assert "wrong: it was declared differently" in said["exchange student_service.events"]


def test_a_backlog_without_a_consumer_is_reported(connection, topology, examined):
    with changed(connection) as channel:
        message = amqp.Message(b"{}")
        channel.basic_publish(message, f"{P}payment_service.events", "user_subscribed")
        while not channel.queue_declare(f"{P}student_service.inbox", passive=True).message_count:
            pass

    code, said = examined()
    assert code == 1
    assert said["queue student_service.inbox"] == "wrong: 1 waiting, and no consumer"
    assert said["queue student_service.dead"] == "wrong: no consumer"


def test_a_routing_key_refused_repeatedly_is_reported(consumers, examined):
    an_event(5, attempts=7, last_error="the broker refused it (nack) for ada@example.com")

    code, said = examined()
    assert code == 1
    assert said["key access_code_created"] == (
        "wrong: an event was refused 7 times: the broker refused it (nack) for a…@e….com"
    )
    assert said["key access_code_undeliverable"] == "fine: no event has waited for long"


def test_an_unbound_key_and_a_stopped_relay_are_distinguished(consumers, examined):
    an_event(300)
    assert "none was published since" in examined()[1]["key access_code_created"]
    an_event(200, "access_code_undeliverable", published_at=Now())

    code, said = examined()
    assert code == 1
    assert "while others were published: no queue is bound to it" in said["key access_code_created"]


def test_an_event_in_flight_is_not_a_problem(consumers, examined):
    an_event(1)

    assert examined()[0] == 0


def test_an_absent_broker_has_its_own_exit_code_and_shows_no_password(messaging):
    messaging(BROKER_URL="amqp://nobody:hunter2@127.0.0.1:1//")

    with pytest.raises(CommandError, match="the broker does not answer") as caught:
        call_command("broker_doctor")
    assert caught.value.returncode == 2
    assert "hunter2" not in str(caught.value)


def test_a_broker_that_refuses_the_login_is_not_reported_as_silent(messaging):
    skip_without_rabbitmq()
    url = urlsplit(conf.current().BROKER_URL)
    messaging(BROKER_URL=f"amqp://nobody:hunter22@{url.hostname}:{url.port or 5672}//")

    with pytest.raises(CommandError, match="the broker refuses this user or virtual host: ") as no:
        call_command("broker_doctor")
    assert "hunter22" not in str(no.value)
