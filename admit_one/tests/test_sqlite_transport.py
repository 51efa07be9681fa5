"""What only the embedded broker must prove: its file, its processes, its refusals."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import kombu
import pytest
from amqp.exceptions import AMQPNotImplementedError, InvalidPath, PreconditionFailed

from .brokers import QUORUM, Broker, Confirms, Inbox, drain_until, eventually, publish, ready


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(f"sqlite:///{tmp_path}/broker.sqlite3")
    yield broker
    broker.clean()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("sqlite:///relative.sqlite3", "expected sqlite:////absolute/path"),
        ("sqlite://host/path", "expected sqlite:////absolute/path"),
        ("sqlite:////no/such/folder/broker.sqlite3", "in a folder that exists"),
    ],
)
def test_impossible_url_is_refused_at_connect_and_not_retried(url: str, complaint: str) -> None:
    connection = kombu.Connection(url)

    with pytest.raises(InvalidPath, match=complaint):
        connection.ensure_connection(max_retries=3)


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite3"
    path.write_text("not a database, and long enough to be sure of it" * 100)
    before = path.read_bytes()

    with pytest.raises(InvalidPath, match="expected an embedded broker at"):
        kombu.Connection(f"sqlite:///{path}").connect()
    assert path.read_bytes() == before


def test_another_applications_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "django.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE django_migrations (id)")
    db.close()

    with pytest.raises(InvalidPath, match="got another SQLite database"):
        kombu.Connection(f"sqlite:///{path}").connect()
    db = sqlite3.connect(path)
    tables = db.execute("SELECT name FROM sqlite_schema").fetchall()
    db.close()

    assert tables == [("django_migrations",)]


def test_files_are_private(broker: Broker, tmp_path: Path) -> None:
    broker.queue(broker.channel())

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes == dict.fromkeys(
        ["broker.sqlite3", "broker.sqlite3-wal", "broker.sqlite3-shm", "broker.sqlite3.lock"], 0o600
    )


@pytest.mark.parametrize("argument", ["x_max_priority", "x_max_length_bytes", "x_queue_mode"])
def test_an_unsupported_queue_argument_is_refused(broker: Broker, argument: str) -> None:
    arguments: dict[str, Any] = {argument: 5}

    with pytest.raises(PreconditionFailed, match="the embedded broker does not have it"):
        broker.queue(broker.channel(), **arguments)


def test_an_unsupported_exchange_type_is_refused(broker: Broker) -> None:
    with pytest.raises(AMQPNotImplementedError, match="expected an exchange of type direct"):
        broker.exchange(broker.channel(), "headers")


def test_publication_without_confirms_is_in_the_file_on_return(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message("now"), "", queue)

    assert ready(broker.channel(), queue) == 1


def test_publications_with_confirms_are_one_transaction_at_the_next_drain(broker: Broker) -> None:
    queue = broker.queue(broker.channel())
    confirms = Confirms(broker.channel())
    confirms.publish("a", "", queue)
    confirms.publish("b", "", queue)
    other = broker.channel()

    before = ready(other, queue)
    confirms.wait()

    assert before == 0
    assert ready(other, queue) == 2


def test_an_at_least_once_dead_letter_waits_until_it_can_be_routed(broker: Broker) -> None:
    """RabbitMQ does the same, but tries again only after three minutes: too slow for a test."""
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct", "dead-letters")
    queue = broker.queue(
        channel,
        x_dead_letter_exchange=exchange,
        x_dead_letter_strategy="at-least-once",
        x_overflow="reject-publish",
        x_dead_letter_routing_key="dead",
        **QUORUM,
    )
    publish(broker, ["bad"], "", queue)
    (message,) = Inbox(channel, queue).wait_for(1)
    channel.basic_reject(message.delivery_tag, requeue=False)

    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "dead")
    inbox = Inbox(channel, dead)
    assert inbox.bodies(1) == ["bad"]


def test_late_ack_for_a_deleted_queue_affects_no_other_message(broker: Broker) -> None:
    """RabbitMQ 3.10 does hit it, where the new queue has the old one's name."""
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["old"], "", queue)
    old = channel.basic_get(queue)
    channel.queue_delete(queue)
    connection = channel.connection
    broker.queue(channel)
    publish(broker, ["new"], "", queue)
    channel.basic_get(queue)

    channel.basic_ack(old.delivery_tag)
    connection.close()

    assert Inbox(broker.channel(), queue).bodies(1) == ["new"]


def test_connection_of_the_parent_survives_its_children(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, ["held", "next"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)
    inbox.wait_for(1)

    child = os.fork()
    if child == 0:  # as a Celery pool does: let go of the parent's, then use one of its own
        connection.collect()
        with kombu.Connection(broker.url) as own:
            right = ready(own.default_channel, queue) == 1
        os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    other = broker.channel()  # would find the parent dead, were its lock gone
    left = other.queue_declare(queue, passive=True)[1:]
    channel.basic_ack(inbox.messages[0].delivery_tag)

    assert status == 0
    assert left == (1, 1)
    assert inbox.bodies(2) == ["held", "next"]


def test_threads_may_acknowledge_while_another_drains(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, [str(number) for number in range(200)], "", queue)
    seen: list[str] = []

    def on_message(message: Any) -> None:
        seen.append(message.body)
        threading.Thread(target=channel.basic_ack, args=(message.delivery_tag,)).start()

    channel.basic_qos(0, 5, False)
    channel.basic_consume(queue, callback=on_message)
    drain_until(channel, lambda: len(seen) == 200)

    assert sorted(map(int, seen)) == list(range(200))
    eventually(lambda: channel.queue_declare(queue, passive=True)[1], 0)


def test_closing_one_connection_keeps_the_others_alive(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, ["held"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)
    inbox.wait_for(1)

    broker.connect().release()
    publish(broker, ["for the other"], "", queue)
    holder = broker.process("hold", queue, 1)  # would take ours first, were we dead to it
    assert holder.stdout
    holder.stdout.readline()
    channel.basic_ack(inbox.messages[0].delivery_tag)
    holder.kill()

    assert inbox.bodies(2) == ["held", "for the other"]
    assert inbox.messages[1].headers["x-delivery-count"] == 1


def test_waiting_consumer_is_woken_without_polling(broker: Broker) -> None:
    channel = broker.channel()
    channel.connection._bell.interval = 60
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)
    with pytest.raises(TimeoutError):
        channel.connection.drain_events(timeout=0)
    publisher = threading.Timer(0.1, publish, (broker, ["news"], "", queue))

    publisher.start()
    begun = time.monotonic()
    channel.connection.drain_events(timeout=30)
    waited = time.monotonic() - begun
    publisher.join()

    assert inbox.bodies(1) == ["news"]
    assert waited < 15


def test_waiting_uses_almost_no_cpu(broker: Broker) -> None:
    channel = broker.channel()
    Inbox(channel, broker.queue(channel))
    with pytest.raises(TimeoutError):
        channel.connection.drain_events(timeout=0.1)
    before = time.process_time()

    with pytest.raises(TimeoutError):
        channel.connection.drain_events(timeout=2)

    assert time.process_time() - before < 0.1  # 5 %; measured 0.5 %


@pytest.mark.parametrize(
    "forged",
    [5, "text", ["text"], [{"queue": "q"}], [{"queue": "", "reason": "expired", "count": "1"}]],
)
def test_a_forged_death_history_stops_nobody(broker: Broker, forged: Any) -> None:
    channel = broker.channel()
    channel.queue_declare("dead", durable=True, auto_delete=False)
    way_out = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("q", durable=True, auto_delete=False, arguments=way_out)
    made_up = amqp.Message("body", application_headers={"x-death": forged})
    channel.basic_publish(made_up, routing_key="q")
    channel.basic_reject(channel.basic_get("q").delivery_tag, requeue=False)

    [death] = channel.basic_get("dead").properties["application_headers"]["x-death"]
    assert (death["queue"], death["reason"], death["count"]) == ("q", "rejected", 1)
