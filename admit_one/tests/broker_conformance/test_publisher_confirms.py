"""What a publisher learns about its messages: confirms, returns, nacks, errors."""

from __future__ import annotations

from typing import Any

import amqp
import pytest
from amqp.exceptions import (
    ChannelError,
    MessageNacked,
    NotFound,
    PreconditionFailed,
)

from tests.brokers import (
    Broker,
    Confirms,
    Inbox,
    drain_until,
    eventually,
    publish,
    ready,
)


def test_every_publication_is_confirmed_once(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel)
    confirms = Confirms(broker.channel())

    for number in range(20):
        confirms.publish(str(number), "", queue)

    assert sorted(confirms.wait()) == [("ack", tag) for tag in range(1, 21)]
    assert ready(channel, queue) == 20


def test_delivery_tags_keep_counting_across_batches(broker: Broker) -> None:
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


def test_message_without_a_queue_is_confirmed_and_dropped(broker: Broker) -> None:
    exchange = broker.exchange(broker.channel(), "direct")
    confirms = Confirms(broker.channel())

    confirms.publish("lost", exchange, "nobody")

    assert confirms.wait() == [("ack", 1)]


def test_full_queue_nacks_if_it_refuses_publications(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_max_length=2, x_overflow="reject-publish")
    confirms = Confirms(broker.channel())

    for body in "abc":
        confirms.publish(body, "", queue)

    assert sorted(confirms.wait()) == [("ack", 1), ("ack", 2), ("nack", 3)]
    assert Inbox(channel, queue).bodies(2) == ["a", "b"]


def test_full_queue_drops_its_oldest_unless_it_refuses(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_max_length=2)

    publish(broker, ["a", "b", "c"], "", queue)

    assert Inbox(channel, queue).bodies(2) == ["b", "c"]


def test_publishing_to_a_missing_exchange_is_not_found(broker: Broker) -> None:
    confirms = Confirms(broker.channel())

    confirms.publish("lost", broker.prefix + "nowhere", "key")

    with pytest.raises(NotFound, match="no exchange"):
        confirms.wait()


def test_channel_drops_unconfirmed_what_follows_an_error(broker: Broker) -> None:
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


@pytest.mark.parametrize("expiration", ["abc", "-1", "1.5", " 5", ""])
def test_a_wrong_expiration_closes_its_channel_only(broker: Broker, expiration: str) -> None:
    connection = broker.connect()
    queue = broker.queue(broker.channel())
    good, bad = Confirms(connection.channel()), connection.channel()
    bad.confirm_select()
    good.publish("before", "", queue)
    bad.basic_publish(amqp.Message("bad", expiration=expiration), "", queue)
    try:
        good.publish("after", "", queue)
    except PreconditionFailed:  # the refusal has come already, and py-amqp sends nothing then
        good.publish("after", "", queue)
    else:
        with pytest.raises(PreconditionFailed, match="expiration"):
            drain_until(bad, lambda: False)

    assert good.wait() == [("ack", 1), ("ack", 2)]
    assert Inbox(broker.channel(), queue).bodies(2) == ["before", "after"]


def test_basic_publish_confirm_waits_for_the_confirm(broker: Broker) -> None:
    channel = broker.channel()
    queue = broker.queue(channel, x_max_length=1, x_overflow="reject-publish")

    channel.basic_publish_confirm(amqp.Message("fits"), "", queue)
    with pytest.raises(MessageNacked):
        channel.basic_publish_confirm(amqp.Message("does not"), "", queue)

    eventually(lambda: ready(broker.channel(), queue), 1)
