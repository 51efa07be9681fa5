"""What an acknowledgement or a reject covers."""

from __future__ import annotations

import pytest
from amqp.exceptions import (
    PreconditionFailed,
)

from tests.brokers import (
    QUORUM,
    Broker,
    Inbox,
    publish,
    ready,
)


def test_multiple_ack_covers_all_up_to_its_tag(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel, **QUORUM)
    publish(broker, list("abcde"), "", queue)
    inbox = Inbox(channel, queue)
    inbox.wait_for(5)

    channel.basic_ack(inbox.messages[2].delivery_tag, multiple=True)
    connection.release()

    assert Inbox(broker.channel(), queue).bodies(2) == ["d", "e"]


def test_single_ack_covers_only_its_tag(broker: Broker) -> None:
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


def test_unknown_delivery_tag_fails_a_precondition(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)

    with pytest.raises(PreconditionFailed, match="unknown delivery tag 7"):  # noqa: PT012
        channel.basic_ack(7)
        channel.queue_declare(queue, passive=True)  # RabbitMQ tells with the next answer


def test_no_ack_consumer_leaves_nothing_in_the_queue(broker: Broker) -> None:
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel)
    publish(broker, ["a"], "", queue)

    Inbox(channel, queue, no_ack=True).wait_for(1)
    connection.release()

    assert ready(broker.channel(), queue) == 0


def test_basic_get_takes_the_oldest_or_nothing(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(broker, ["a", "b"], "", queue)

    first = channel.basic_get(queue)
    second = channel.basic_get(queue, no_ack=True)

    assert (first.body, first.delivery_info["message_count"]) == ("a", 1)
    assert (second.body, second.delivery_info["message_count"]) == ("b", 0)
    assert channel.basic_get(queue) is None
