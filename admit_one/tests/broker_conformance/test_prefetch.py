"""How many messages a consumer holds."""

from __future__ import annotations

from tests.brokers import (
    QUORUM,
    Broker,
    Inbox,
    drain_until,
    eventually,
    publish,
    ready,
)


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
