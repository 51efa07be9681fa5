"""What is specific to the embedded broker: its file, its processes, its refusals."""

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
from admit_one.embedded_broker.messages import Messages
from amqp.exceptions import (
    AMQPNotImplementedError,
    InvalidPath,
    MessageNacked,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    RecoverableConnectionError,
)

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
        ("sqlite:////a#b.sqlite3", "expected sqlite:////absolute/path"),
        ("sqlite:////b.sqlite3?mode=ro", "expected sqlite:////absolute/path"),
        ("sqlite:////no/such/folder/broker.sqlite3", "in a folder that exists"),
    ],
)
def test_invalid_url_is_refused_at_connect_and_not_retried(url: str, complaint: str) -> None:
    connection = kombu.Connection(url)

    with pytest.raises(InvalidPath, match=complaint):
        connection.ensure_connection(max_retries=3)


def test_file_that_is_not_a_database_is_refused_and_left_alone(tmp_path: Path) -> None:
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

    with pytest.raises(PreconditionFailed, match="the embedded broker does not support it"):
        broker.queue(broker.channel(), **arguments)


@pytest.mark.parametrize(
    "argument", [{"x_queue_type": "stream"}, {"x_overflow": "reject-publish-dlx"}], ids=str
)
def test_an_unsupported_value_of_an_argument_is_refused(
    broker: Broker, argument: dict[str, Any]
) -> None:
    with pytest.raises(PreconditionFailed, match="the embedded broker does not support"):
        broker.queue(broker.channel(), **argument)


def test_what_exchanges_and_bindings_cannot_have_is_refused_by_name(broker: Broker) -> None:
    channel = broker.channel()
    queue, exchange = broker.queue(channel), broker.exchange(channel, "direct")
    arguments = {"alternate-exchange": "other"}

    with pytest.raises(AMQPNotImplementedError, match="got alternate-exchange"):
        channel.exchange_declare("new", "direct", auto_delete=False, arguments=arguments)
    with pytest.raises(AMQPNotImplementedError, match="expected a binding without arguments"):
        channel.queue_bind(queue, exchange, "key", arguments={"x-match": "any"})
    with pytest.raises(AMQPNotImplementedError, match="binds no exchanges"):
        channel.exchange_bind("new", exchange, "key")
    with pytest.raises(NotFound):
        channel.exchange_declare("new", "direct", passive=True)


def test_what_a_consumer_or_publisher_cannot_ask_for_is_refused(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    with pytest.raises(AMQPNotImplementedError, match="prefetch_size!=0"):
        channel.basic_qos(1_000, 0, False)
    with pytest.raises(ValueError, match="prefetch count from 0 to 65535, got -1"):
        channel.basic_qos(0, -1, False)
    with pytest.raises(AMQPNotImplementedError, match="immediate=true"):
        channel.basic_publish(amqp.Message("now"), "", queue, immediate=True)
    with pytest.raises(ValueError, match="at most 255 bytes"):
        channel.basic_publish(amqp.Message("now"), "", "ü" * 128)
    channel.basic_consume(queue, consumer_tag="mine")
    with pytest.raises(NotAllowed, match="reuse consumer tag 'mine'"):
        channel.basic_consume(queue, consumer_tag="mine")
    assert ready(channel, queue) == 0


def test_a_publication_that_cannot_be_written_is_the_only_one_refused(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = broker.queue(broker.channel())
    confirms = Confirms(broker.channel())
    put = Messages._put

    def fail_after_writing(self: Messages, to: Any, message: Any) -> bool:
        taken = put(self, to, message)
        if message.body == b"bad":
            raise TypeError("no such life")
        return taken

    monkeypatch.setattr(Messages, "_put", fail_after_writing)
    for body in ("before", "bad", "after"):
        confirms.publish(body, "", queue)

    assert sorted(confirms.wait()) == [("ack", 1), ("ack", 3), ("nack", 2)]
    assert Inbox(broker.channel(), queue).bodies(2) == ["before", "after"]
    with pytest.raises(PreconditionFailed, match="TypeError while it was written"):
        broker.channel().basic_publish(amqp.Message("bad"), "", queue)


def test_what_ends_a_flush_closes_the_connection(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = broker.queue(broker.channel())
    confirms = Confirms(broker.channel())
    confirms.publish("waits", "", queue)

    def interrupted(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Messages, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        confirms.wait()

    with pytest.raises(RecoverableConnectionError, match="closed"):
        confirms.publish("as well", "", queue)


def test_every_channel_hears_of_its_own_error(broker: Broker) -> None:
    connection = broker.connect()
    confirms, plain = Confirms(connection.channel()), connection.channel()
    confirms.publish("lost", broker.prefix + "nowhere", "key")

    with pytest.raises(NotFound):
        plain.basic_publish(amqp.Message("lost"), broker.prefix + "nowhere", "key")

    with pytest.raises(NotFound):
        confirms.wait()


def test_a_message_that_counts_as_many_deaths_as_fit_is_buried_with_the_others(
    broker: Broker,
) -> None:
    channel = broker.channel()
    dead = broker.queue(channel, "dead")
    queue = broker.queue(
        channel, x_message_ttl=1, x_dead_letter_exchange="", x_dead_letter_routing_key=dead
    )
    deaths = [{"queue": queue, "reason": "expired", "count": 2**63 - 1}]
    forged = amqp.Message("forged", application_headers={"x-death": deaths})
    channel.basic_publish(forged, "", queue)
    channel.basic_publish(amqp.Message("honest"), "", queue)

    letters = Inbox(channel, dead).wait_for(2)

    counts = [letter.headers["x-death"][0]["count"] for letter in letters]
    assert [letter.body for letter in letters] == ["forged", "honest"]
    assert counts == [2**63 - 1, 1]


def test_a_message_whose_properties_cannot_be_read_is_buried_without_them(
    broker: Broker, tmp_path: Path
) -> None:
    channel = broker.channel()
    dead = broker.queue(channel, "dead")
    queue = broker.queue(
        channel, x_message_ttl=300, x_dead_letter_exchange="", x_dead_letter_routing_key=dead
    )
    publish(broker, ["broken", "whole"], "", queue)
    db = sqlite3.connect(tmp_path / "broker.sqlite3")
    with db:
        db.execute("UPDATE message SET properties = x'2000ff' WHERE body = CAST('broken' AS BLOB)")
    db.close()

    assert Inbox(channel, dead).bodies(2) == [b"broken", "whole"]


def test_a_plain_publish_with_confirm_publish_waits_for_its_confirm(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_max_length=1, x_overflow="reject-publish")
    options = {"confirm_publish": True}

    with kombu.Connection(broker.url, transport_options=options) as connection:
        producer = connection.Producer()
        producer.publish("fits", routing_key=queue)
        with pytest.raises(MessageNacked):
            producer.publish("does not", routing_key=queue)
        with pytest.raises(NotFound):
            producer.publish("lost", exchange=broker.prefix + "nowhere")

    assert ready(channel, queue) == 1


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
def test_a_forged_death_history_is_ignored(broker: Broker, forged: Any) -> None:
    channel = broker.channel()
    channel.queue_declare("dead", durable=True, auto_delete=False)
    way_out = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("q", durable=True, auto_delete=False, arguments=way_out)
    made_up = amqp.Message("body", application_headers={"x-death": forged})
    channel.basic_publish(made_up, routing_key="q")
    channel.basic_reject(channel.basic_get("q").delivery_tag, requeue=False)

    [death] = channel.basic_get("dead").properties["application_headers"]["x-death"]
    assert (death["queue"], death["reason"], death["count"]) == ("q", "rejected", 1)
