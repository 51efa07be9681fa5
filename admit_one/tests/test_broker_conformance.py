"""What both brokers promise. Each test runs on the embedded broker and on RabbitMQ alike."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import amqp
import kombu
import pytest
from amqp.exceptions import (
    AccessRefused,
    ChannelError,
    ConsumerCancelled,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)

from .brokers import (
    QUORUM,
    Broker,
    Confirms,
    Inbox,
    broker,
    drain_until,
    eventually,
    publish,
    ready,
)

__all__ = ["broker"]

# --- routing


def test_direct_exchange_sends_to_the_queues_of_the_exact_key(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    one, two = broker.queue(channel, "one"), broker.queue(channel, "two")
    channel.queue_bind(one, exchange, "a")
    channel.queue_bind(two, exchange, "a")
    channel.queue_bind(two, exchange, "b")

    publish(broker, ["to both"], exchange, "a")
    publish(broker, ["to two"], exchange, "b")
    publish(broker, ["to none"], exchange, "a.b")

    assert Inbox(channel, one).bodies(1) == ["to both"]
    assert Inbox(channel, two).bodies(2) == ["to both", "to two"]


def test_fanout_exchange_sends_to_every_queue_whatever_the_key(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout")
    queues = [broker.queue(channel, name) for name in ("one", "two")]
    for queue in queues:
        channel.queue_bind(queue, exchange, "ignored")

    publish(broker, ["news"], exchange, "anything")

    assert [Inbox(channel, queue).bodies(1) for queue in queues] == [["news"], ["news"]]


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("worker.#", ["worker", "worker.x", "worker.x.y"]),
        ("worker.*", ["worker.x"]),
        ("#", ["worker", "worker.x", "worker.x.y", "task.x", ""]),
        ("*.x", ["worker.x", "task.x"]),
        ("#.x", ["worker.x", "task.x"]),
    ],
)
def test_topic_star_is_one_word_and_hash_any_number(
    broker: Broker, binding: str, expected: list[str]
) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "topic")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, binding)

    for key in ("worker", "worker.x", "worker.x.y", "task.x", ""):
        publish(broker, [key or " "], exchange, key)

    assert Inbox(channel, queue).bodies(len(expected)) == [key or " " for key in expected]


def test_default_exchange_sends_to_the_queue_of_that_name(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    publish(broker, ["hello"], "", queue)

    assert Inbox(channel, queue).bodies(1) == ["hello"]


def test_queue_bound_twice_gets_a_message_once(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "topic")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "a.#")
    channel.queue_bind(queue, exchange, "#.b")

    publish(broker, ["first", "second"], exchange, "a.b")

    assert Inbox(channel, queue).bodies(2) == ["first", "second"]


def test_unbound_key_is_sent_no_more(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "old")
    channel.queue_bind(queue, exchange, "new")
    channel.queue_unbind(queue, exchange, "old")

    publish(broker, ["by the old key"], exchange, "old")
    publish(broker, ["by the new key"], exchange, "new")

    assert Inbox(channel, queue).bodies(1) == ["by the new key"]


def test_publisher_that_never_declared_the_queue_reaches_it(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "key")

    producer = broker.process("produce", exchange, "key", 1, 3)

    assert producer.communicate()[0].split() == ["confirmed"]
    assert Inbox(channel, queue).bodies(3) == [b"1", b"2", b"3"]


# --- confirms and returns


def test_every_publication_is_confirmed_once(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    confirms = Confirms(broker.channel())

    for number in range(20):
        confirms.publish(str(number), "", queue)

    assert sorted(confirms.wait()) == [("ack", tag) for tag in range(1, 21)]
    assert ready(channel, queue) == 20


def test_tags_count_on_from_batch_to_batch(broker: Broker) -> None:
    queue = broker.queue(broker.channel())
    confirms = Confirms(broker.channel())

    confirms.publish("first", "", queue)
    confirms.wait()
    confirms.publish("second", "", queue)

    assert confirms.wait() == [("ack", 1), ("ack", 2)]


def test_mandatory_message_without_a_queue_is_returned_before_its_ack(broker: Broker) -> None:
    exchange = broker.exchange(broker.channel(), "direct")
    confirms = Confirms(broker.channel())

    confirms.publish("lost", exchange, "nobody", mandatory=True)

    assert confirms.wait() == [("return", "1"), ("ack", 1)]


def test_return_names_the_reason_and_carries_the_message(broker: Broker) -> None:
    exchange = broker.exchange(broker.channel(), "direct")
    channel = broker.channel()
    returned: list[Any] = []
    channel.events["basic_return"].add(lambda *args: returned.append(args))

    message = amqp.Message(b"\x00body", type="t", message_id="m")
    channel.basic_publish(message, exchange, "nobody", mandatory=True)
    drain_until(channel, lambda: bool(returned))
    (error, exchange_name, key, back) = returned[0]

    assert (type(error), error.reply_code, error.reply_text) == (ChannelError, 312, "NO_ROUTE")
    assert (exchange_name, key) == (exchange, "nobody")
    assert (back.body, back.properties) == (b"\x00body", {"type": "t", "message_id": "m"})


def test_message_without_a_queue_is_confirmed_and_gone(broker: Broker) -> None:
    exchange = broker.exchange(broker.channel(), "direct")
    confirms = Confirms(broker.channel())

    confirms.publish("lost", exchange, "nobody")

    assert confirms.wait() == [("ack", 1)]


def test_full_queue_that_refuses_nacks(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_max_length=2, x_overflow="reject-publish")
    confirms = Confirms(broker.channel())

    for body in "abc":
        confirms.publish(body, "", queue)

    assert sorted(confirms.wait()) == [("ack", 1), ("ack", 2), ("nack", 3)]
    assert Inbox(channel, queue).bodies(2) == ["a", "b"]


def test_full_queue_that_does_not_refuse_drops_its_oldest(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_max_length=2)

    publish(broker, ["a", "b", "c"], "", queue)

    assert Inbox(channel, queue).bodies(2) == ["b", "c"]


def test_publishing_to_an_exchange_that_is_not_there_is_not_found(broker: Broker) -> None:
    confirms = Confirms(broker.channel())

    confirms.publish("lost", broker.prefix + "nowhere", "key")

    with pytest.raises(NotFound, match="no exchange"):
        confirms.wait()


def test_what_follows_on_the_channel_of_an_error_is_dropped_unconfirmed(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    confirms = Confirms(broker.channel())

    # The error may be read while the second one is being written, or not before the wait.
    with pytest.raises(NotFound):  # noqa: PT012 (any of the three may raise it)
        confirms.publish("lost", broker.prefix + "nowhere", "key")
        confirms.publish("after it", "", queue)
        confirms.wait()

    assert 1 in confirms.open
    assert ready(channel, queue) == 0


# --- acknowledging, rejecting, coming back


def test_ack_of_many_settles_all_up_to_it_and_none_after(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, list("abcde"), "", queue)
    inbox = Inbox(channel, queue)
    inbox.wait_for(5)

    channel.basic_ack(inbox.messages[2].delivery_tag, multiple=True)
    connection.release()

    assert Inbox(broker.channel(), queue).bodies(2) == ["d", "e"]


def test_ack_of_one_settles_only_that(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, list("abc"), "", queue)
    inbox = Inbox(channel, queue)
    inbox.wait_for(3)

    channel.basic_ack(inbox.messages[1].delivery_tag)
    connection.release()

    assert sorted(Inbox(broker.channel(), queue).bodies(2)) == ["a", "c"]


def test_late_reject_for_a_deleted_queue_is_no_error(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)
    one, two = channel.basic_get(queue), channel.basic_get(queue)
    channel.queue_delete(queue)

    channel.basic_reject(one.delivery_tag, requeue=False)
    channel.basic_reject(two.delivery_tag, requeue=True)

    assert ready(channel, broker.queue(channel, "other")) == 0


def test_unknown_delivery_tag_is_a_precondition_failed(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    with pytest.raises(PreconditionFailed, match="unknown delivery tag 7"):  # noqa: PT012
        channel.basic_ack(7)
        channel.queue_declare(queue, passive=True)  # RabbitMQ tells with the next answer


def test_rejected_message_goes_to_the_dead_letter_exchange_and_says_why(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "dead")
    queue = broker.queue(
        channel, x_dead_letter_exchange=exchange, x_dead_letter_routing_key="dead", **QUORUM
    )
    publish(broker, [b"\xffbad"], "", queue)

    (message,) = Inbox(channel, queue).wait_for(1)
    channel.basic_reject(message.delivery_tag, requeue=False)
    (letter,) = Inbox(channel, dead).wait_for(1)

    headers = letter.headers
    death = headers["x-death"][0]
    assert letter.body == b"\xffbad"
    assert letter.delivery_info["routing_key"] == "dead"
    assert headers["x-first-death-reason"] == "rejected"
    assert headers["x-first-death-queue"] == queue
    assert headers["x-first-death-exchange"] == ""
    assert (death["reason"], death["queue"], death["count"]) == ("rejected", queue, 1)
    assert death["routing-keys"] == [queue]
    assert isinstance(death["time"], datetime)


def test_dead_letter_keeps_its_key_where_the_queue_names_none(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "")
    queue = broker.queue(channel, x_dead_letter_exchange=exchange)
    publish(broker, ["bad"], "", queue)

    (message,) = Inbox(channel, queue).wait_for(1)
    channel.basic_reject(message.delivery_tag, requeue=False)

    (letter,) = Inbox(channel, dead).wait_for(1)
    assert letter.delivery_info["routing_key"] == queue


def test_message_that_dies_twice_is_counted(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    queue = broker.queue(channel, x_dead_letter_exchange=exchange)
    channel.queue_bind(queue, exchange, "")
    publish(broker, ["bad"], "", queue)
    inbox = Inbox(channel, queue)

    for number in (1, 2):
        message = inbox.wait_for(number)[-1]
        channel.basic_reject(message.delivery_tag, requeue=False)

    deaths = inbox.wait_for(3)[-1].headers["x-death"]
    assert [(death["reason"], death["count"]) for death in deaths] == [("rejected", 2)]


def test_rejected_message_is_gone_where_there_is_no_dead_letter_exchange(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["bad", "good"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)

    channel.basic_reject(inbox.wait_for(1)[0].delivery_tag, requeue=False)

    assert inbox.bodies(2) == ["bad", "good"]


def test_requeued_message_comes_first_and_is_marked_redelivered(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    publish(broker, ["a", "b", "c"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)

    channel.basic_reject(inbox.wait_for(1)[0].delivery_tag, requeue=True)
    again = inbox.wait_for(2)[1]

    assert again.body == "a"
    assert again.delivery_info["redelivered"] is True
    assert again.headers["x-delivery-count"] == 1
    assert inbox.messages[0].delivery_info["redelivered"] is False
    assert "x-delivery-count" not in (inbox.messages[0].headers or {})


def test_message_is_delivered_once_more_than_its_limit_and_then_dead(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "")
    queue = broker.queue(channel, x_delivery_limit=3, x_dead_letter_exchange=exchange, **QUORUM)
    publish(broker, ["poison"], "", queue)
    counts: list[int | None] = []

    def send_back(message: amqp.Message) -> None:
        counts.append((message.headers or {}).get("x-delivery-count"))
        channel.basic_reject(message.delivery_tag, requeue=True)

    channel.basic_consume(queue, callback=send_back)
    (letter,) = Inbox(channel, dead).wait_for(1)

    assert counts == [None, 1, 2, 3]
    assert letter.headers["x-first-death-reason"] == "delivery_limit"


def test_closed_connection_gives_back_what_it_had_not_acknowledged_in_order(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue).wait_for(3)

    connection.release()
    messages = Inbox(broker.channel(), queue).wait_for(3)

    assert [message.body for message in messages] == ["a", "b", "c"]
    assert [message.delivery_info["redelivered"] for message in messages] == [True] * 3


def test_abandoned_connection_gives_back_what_it_had(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)
    Inbox(channel, queue).wait_for(1)

    connection.collect()

    assert Inbox(broker.channel(), queue).bodies(1) == ["a"]


def test_closed_channel_gives_back_what_it_had_and_leaves_the_others_theirs(broker: Broker) -> None:
    connection = broker.connect()
    one, two = connection.channel(), connection.channel()
    queue = broker.queue(one)
    publish(broker, ["a", "b"], "", queue)
    Inbox(one, queue, prefetch=1).wait_for(1)
    kept = Inbox(two, queue, prefetch=1)
    kept.wait_for(1)

    one.close()
    two.basic_ack(kept.messages[0].delivery_tag)

    assert kept.bodies(2) == ["b", "a"]


def test_error_of_a_channel_ends_its_consumers_and_gives_back_what_it_had(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)
    inbox = Inbox(channel, queue, prefetch=1)
    inbox.wait_for(1)

    with pytest.raises(NotFound):
        channel.queue_declare(broker.prefix + "none", passive=True)

    assert sorted(Inbox(broker.channel(), queue).bodies(2)) == ["a", "b"]
    assert len(inbox.messages) == 1


def test_killed_holder_gives_its_messages_back_at_once(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    publish(broker, ["a", "b"], "", queue)
    holder = broker.process("hold", queue, 2)
    assert holder.stdout
    assert holder.stdout.readline() == "holding\n"
    inbox = Inbox(channel, queue)

    holder.kill()
    killed = time.monotonic()
    messages = inbox.wait_for(2)
    seconds = time.monotonic() - killed

    assert [message.body for message in messages] == ["a", "b"]
    assert [message.headers["x-delivery-count"] for message in messages] == [1, 1]
    assert seconds < 2  # no lease: the kernel tells


# --- consuming


def test_consumer_holds_no_more_than_its_prefetch_count(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, list("abcde"), "", queue)
    inbox = Inbox(channel, queue, prefetch=2)

    inbox.wait_for(2)
    eventually(lambda: ready(channel, queue), 3)
    channel.basic_ack(inbox.messages[0].delivery_tag)
    inbox.wait_for(3)

    eventually(lambda: ready(channel, queue), 2)
    assert [message.body for message in inbox.messages] == ["a", "b", "c"]


def test_each_consumer_has_a_prefetch_count_of_its_own(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, list("abcde"), "", queue)

    one, two = Inbox(channel, queue, prefetch=1), Inbox(channel, queue, prefetch=2)
    one.wait_for(1)
    two.wait_for(2)

    eventually(lambda: ready(channel, queue), 2)


def test_prefetch_changes_by_cancelling_and_consuming_again(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, list("abcde"), "", queue)
    careful = Inbox(channel, queue, prefetch=1)
    careful.wait_for(1)

    channel.basic_cancel(careful.tag)
    bold = Inbox(channel, queue, prefetch=4)

    assert bold.bodies(4) == ["b", "c", "d", "e"]
    channel.basic_ack(bold.messages[-1].delivery_tag, multiple=True)
    eventually(lambda: channel.queue_declare(queue, passive=True)[1:], (0, 1))


def test_prefetch_count_of_a_channel_is_shared_by_its_consumers(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, list("abcde"), "", queue)
    channel.basic_qos(0, 3, True)

    inboxes = [Inbox(channel, queue), Inbox(channel, queue)]
    drain_until(channel, lambda: sum(len(inbox.messages) for inbox in inboxes) >= 3)

    eventually(lambda: ready(channel, queue), 2)


def test_messages_arrive_in_the_order_they_were_published(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    bodies = [str(number) for number in range(1000)]

    publish(broker, bodies, "", queue)

    assert Inbox(channel, queue, prefetch=50, no_ack=True).bodies(1000) == bodies


def test_waiting_consumer_is_given_what_others_publish(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)
    with pytest.raises(TimeoutError):
        channel.connection.drain_events(timeout=0.01)
    publisher = threading.Thread(target=publish, args=(broker, ["news"], "", queue))

    publisher.start()

    assert inbox.bodies(1) == ["news"]
    publisher.join()


def test_cancelled_consumer_is_given_nothing_more(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)

    channel.basic_cancel(inbox.tag)
    publish(broker, ["later"], "", queue)

    eventually(lambda: channel.queue_declare(queue, passive=True)[1:], (1, 0))
    assert inbox.messages == []


def test_cancelling_loses_nothing_of_what_was_on_its_way(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, list("abcde"), "", queue)
    inbox = Inbox(channel, queue, prefetch=5)
    connection.drain_events(timeout=10)

    channel.basic_cancel(inbox.tag)
    connection.release()

    assert sorted(Inbox(broker.channel(), queue).bodies(5)) == list("abcde")


def test_consumer_is_told_that_its_queue_was_deleted(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    told: list[str] = []
    tag = channel.basic_consume(queue, callback=print, on_cancel=told.append)

    broker.channel().queue_delete(queue)
    drain_until(channel, lambda: bool(told))

    assert told == [tag]


def test_consumer_that_does_not_listen_learns_by_an_error_that_its_queue_was_deleted(
    broker: Broker,
) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)

    broker.channel().queue_delete(queue)

    with pytest.raises(ConsumerCancelled):
        inbox.wait_for(1)


def test_consumer_without_acknowledgements_leaves_nothing_behind(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)

    Inbox(channel, queue, no_ack=True).wait_for(1)
    connection.release()

    assert ready(broker.channel(), queue) == 0


def test_getting_takes_the_oldest_or_nothing(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)

    first = channel.basic_get(queue)
    second = channel.basic_get(queue, no_ack=True)

    assert (first.body, first.delivery_info["message_count"]) == ("a", 1)
    assert (second.body, second.delivery_info["message_count"]) == ("b", 0)
    assert channel.basic_get(queue) is None


# --- what a message carries


def test_bytes_and_all_properties_survive(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    properties = {
        "content_type": "application/cloudevents+json",
        "application_headers": {
            "text": "ü",
            "number": 2**40,
            "yes": True,
            "nothing": None,
            "when": datetime(2026, 11, 21, 9, 0),  # noqa: DTZ001  (AMQP times have no zone)
            "table": {"list": [1, "two", {"three": 3.5}]},
        },
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "reply",
        "message_id": "id",
        "timestamp": 1_795_000_000,
        "type": "user_subscribed",
        "app_id": "payment_service",
    }
    body = bytes(range(256))

    channel.basic_publish(amqp.Message(body, **properties), "", queue)
    (message,) = Inbox(channel, queue).wait_for(1)

    assert message.body == body
    assert message.properties == properties


def test_text_comes_back_as_text_and_undecodable_text_as_bytes(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message("grüße"), "", queue)
    channel.basic_publish(amqp.Message(b"\xff", content_encoding="utf-8"), "", queue)
    channel.basic_publish(amqp.Message(b"a", content_encoding="no-such"), "", queue)

    assert Inbox(channel, queue).bodies(3) == ["grüße", b"\xff", b"a"]


def test_bytes_stay_bytes_on_a_channel_that_does_not_decode(broker: Broker) -> None:
    channel = broker.channel()
    channel.auto_decode = False
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message("text"), "", queue)

    assert Inbox(channel, queue).bodies(1) == [b"text"]


def test_empty_body_is_delivered(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    channel.basic_publish(amqp.Message(b"", message_id="empty"), "", queue)
    (message,) = Inbox(channel, queue).wait_for(1)

    assert (message.body, message.properties) == ("", {"message_id": "empty"})


def test_kombu_reads_what_kombu_wrote(broker: Broker) -> None:
    connection = broker.connect()
    queue = kombu.Queue(broker.queue(connection.channel()), no_declare=True)
    got: list[Any] = []
    kombu.Producer(connection).publish({"a": 1}, routing_key=queue.name, headers={"h": "x"})

    def keep(body: Any, message: kombu.Message) -> None:
        got.append((body, message.headers, message.delivery_info["routing_key"]))
        message.ack()

    with kombu.Consumer(connection, [queue], callbacks=[keep], accept=["json"]):
        connection.drain_events(timeout=10)

    assert got == [({"a": 1}, {"h": "x"}, queue.name)]


# --- declaring


def test_missing_queue_or_exchange_is_not_found_and_the_channel_goes_on(broker: Broker) -> None:
    channel = broker.channel()

    with pytest.raises(NotFound, match="no queue"):
        channel.queue_declare(broker.prefix + "none", passive=True)
    with pytest.raises(NotFound, match="no exchange"):
        channel.exchange_declare(broker.prefix + "none", "direct", passive=True)
    with pytest.raises(NotFound, match="no queue"):
        channel.basic_consume(broker.prefix + "none")
    assert ready(channel, broker.queue(channel)) == 0


def test_declaring_equally_again_changes_nothing(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_delivery_limit=3, **QUORUM)
    publish(broker, ["a"], "", queue)

    broker.queue(broker.channel(), x_delivery_limit=3, **QUORUM)
    broker.exchange(channel, "direct")
    broker.exchange(channel, "direct")

    eventually(lambda: ready(channel, queue), 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"x_max_length": 5}),
        ({"x_max_length": 5}, {"x_max_length": 6}),
        ({"x_delivery_limit": 3, **QUORUM}, {"x_delivery_limit": 4, **QUORUM}),
        (QUORUM, {}),
    ],
)
def test_declaring_a_queue_otherwise_is_a_precondition_failed(
    broker: Broker, first: dict[str, Any], second: dict[str, Any]
) -> None:
    channel = broker.channel()
    broker.queue(channel, **first)

    with pytest.raises(PreconditionFailed, match="inequivalent arg"):
        broker.queue(channel, **second)


def test_declaring_an_exchange_otherwise_is_a_precondition_failed(broker: Broker) -> None:
    channel = broker.channel()
    broker.exchange(channel, "direct")

    with pytest.raises(PreconditionFailed, match="inequivalent arg 'type'"):
        broker.exchange(channel, "fanout")


def test_counts_are_of_ready_messages_and_of_consumers(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue, prefetch=1).wait_for(1)

    eventually(lambda: tuple(channel.queue_declare(queue, passive=True)), (queue, 2, 1))


def test_dead_process_is_counted_as_a_consumer_no_more(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)
    holder = broker.process("hold", queue, 1)
    assert holder.stdout
    holder.stdout.readline()

    holder.kill()

    eventually(lambda: channel.queue_declare(queue, passive=True)[1:], (1, 0))


def test_purge_drops_what_is_ready_and_says_how_many(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b", "c"], "", queue)
    Inbox(channel, queue, prefetch=1).wait_for(1)
    eventually(lambda: ready(channel, queue), 2)

    assert channel.queue_purge(queue) == 2
    assert ready(channel, queue) == 0


def test_deleting_a_queue_says_how_many_went_and_twice_is_no_error(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)

    assert channel.queue_delete(queue) == 2
    assert channel.queue_delete(queue) == 0


def test_queue_in_use_is_not_deleted_where_that_was_asked(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    Inbox(broker.channel(), queue)

    with pytest.raises(PreconditionFailed):
        channel.queue_delete(queue, if_unused=True)


def test_exclusive_queue_is_its_connections_alone_and_goes_with_it(broker: Broker) -> None:
    connection, other = broker.connect(), broker.channel()
    name = connection.channel().queue_declare("", exclusive=True)[0]

    with pytest.raises(ResourceLocked):
        other.queue_declare(name, passive=True)
    connection.release()
    with pytest.raises(NotFound):
        other.queue_declare(name, passive=True)


def test_auto_delete_queue_goes_with_its_last_consumer(broker: Broker) -> None:
    channel = broker.channel()
    name = channel.queue_declare("", auto_delete=True)[0]
    one, two = Inbox(channel, name), Inbox(channel, name)

    channel.basic_cancel(one.tag)
    channel.queue_declare(name, passive=True)
    channel.basic_cancel(two.tag)

    with pytest.raises(NotFound):
        channel.queue_declare(name, passive=True)


def test_auto_delete_exchange_goes_with_its_last_binding(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.adopt_exchange(broker.prefix + "passing")
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    queue = broker.queue(channel)
    for key in ("one", "two"):
        channel.queue_bind(queue, exchange, key)

    channel.queue_unbind(queue, exchange, "one")
    channel.exchange_declare(exchange, "direct", passive=True)
    channel.queue_delete(queue)

    with pytest.raises(NotFound):
        channel.exchange_declare(exchange, "direct", passive=True)


def test_nobody_binds_to_the_default_exchange(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    with pytest.raises(AccessRefused, match="default exchange"):
        channel.queue_bind(queue, "", "key")


def test_expired_message_goes_to_the_dead_letter_exchange(broker: Broker) -> None:
    channel = broker.channel()
    exchange = broker.exchange(channel, "fanout", "dead-letters")
    dead = broker.queue(channel, "dead")
    channel.queue_bind(dead, exchange, "")
    queue = broker.queue(channel, x_message_ttl=100, x_dead_letter_exchange=exchange)
    own = broker.queue(channel, "own", x_dead_letter_exchange=exchange)

    publish(broker, ["by its queue"], "", queue)
    channel.basic_publish(amqp.Message("by itself", expiration="300"), "", own)
    letters = Inbox(channel, dead).wait_for(2)

    assert [letter.body for letter in letters] == ["by its queue", "by itself"]
    assert {letter.headers["x-first-death-reason"] for letter in letters} == {"expired"}
    assert "expiration" not in letters[1].properties


def test_unused_queue_expires(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_expires=100)

    with pytest.raises(NotFound):  # noqa: PT012  (asking by a passive declare would keep it alive)
        while True:
            time.sleep(0.3)
            channel.queue_declare(queue, passive=True)


# --- nothing is lost


def test_two_producers_two_consumers_and_a_kill_lose_nothing(broker: Broker) -> None:
    number = 1000
    channel = broker.channel()
    exchange = broker.exchange(channel, "direct")
    queue = broker.queue(channel, x_delivery_limit=20, **QUORUM)
    channel.queue_bind(queue, exchange, "key")
    consumers = [broker.process("consume", queue, 50) for _ in range(2)]
    said: SimpleQueue[tuple[int, int]] = SimpleQueue()
    for who, consumer in enumerate(consumers):
        threading.Thread(target=pass_on, args=(who, consumer, said), daemon=True).start()
    producers = [
        broker.process("produce", exchange, "key", n, number // 2) for n in (0, number // 2)
    ]

    seen, shares = set(), Counter[int]()
    while max(shares.values(), default=0) < 100:
        who, one = said.get(timeout=30)
        shares[who] += 1
        seen.add(one)
    consumers[who].kill()
    while len(seen) < number:
        seen.add(said.get(timeout=30)[1])

    assert [producer.communicate()[0] for producer in producers] == ["confirmed\n"] * 2
    assert seen == set(range(number))
    eventually(lambda: ready(channel, queue), 0)


def pass_on(who: int, process: subprocess.Popen[str], said: SimpleQueue[tuple[int, int]]) -> None:
    """Each number that a process says, with who says it."""
    assert process.stdout
    for line in process.stdout:
        said.put((who, int(line)))


# --- Celery, unmodified


@pytest.fixture
def celery(broker: Broker, tmp_path: Path) -> Iterator[PlainCelery]:
    plain = PlainCelery(broker, tmp_path)
    yield plain
    plain.stop()


class PlainCelery:
    """A worker of `plain_celery.py`, and what its tasks noted."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.name = f"plain@{broker.prefix}"
        self.notes = folder / "notes"
        self.notes.touch()
        self.go = folder / "go"
        self.log = folder / "log"
        self.environment = {
            **os.environ,
            "CELERY_BROKER_URL": broker.url,
            "PLAIN_QUEUE": broker.adopt(f"{broker.prefix}tasks"),
            "PLAIN_NOTES": str(self.notes),
            "PLAIN_GO": str(self.go),
        }
        broker.adopt_exchange(f"{broker.prefix}tasks")
        self.workers: list[subprocess.Popen[bytes]] = []

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "celery", "-A", "tests.plain_celery", *args]

    def start(self, pool: str) -> subprocess.Popen[bytes]:
        options = ["--pool", pool, "--concurrency", "1", "--hostname", self.name]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                self.command("worker", *options, "--loglevel", "WARNING"),
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def call(self, *args: str) -> str:
        done = subprocess.run(
            self.command(*args),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout + done.stderr

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def stop(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)  # the pool's children too
            worker.wait()


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_celery_worker_runs_tasks_and_answers_ping(celery: PlainCelery, pool: str) -> None:
    worker = celery.start(pool)
    celery.call("call", "tests.plain_celery.note", "--args", '["hello"]')
    eventually(celery.noted, ["hello"])

    answer = celery.call("inspect", "ping", "--timeout", "5", "--destination", celery.name)
    worker.terminate()

    assert "pong" in answer
    assert worker.wait(15) == 0


def test_task_of_a_killed_celery_worker_is_done_by_the_next(celery: PlainCelery) -> None:
    worker = celery.start("threads")
    celery.call("call", "tests.plain_celery.note_twice", "--args", '["work"]')
    eventually(celery.noted, ["work begun"])

    worker.kill()
    worker.wait()
    celery.go.touch()
    celery.start("threads")

    eventually(celery.noted, ["work begun", "work begun", "work done"])
