"""Thousands of bad messages: each is set aside, and none has any other effect.

`TEST_BAD_MESSAGES=10000` makes them ten thousand.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import amqp
import pytest
from admit_one.messaging import conf
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.models import InboxMessage, SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.set_aside.keeping import LONGEST_BODY
from admit_one.messaging.testing import an_envelope

from tests.bad_input import ADDRESS, CODE, KINDS, bad_messages
from tests.brokers import Confirms
from tests.contract.events import UserSubscribed
from tests.models import Effect
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 20261121
NUMBER = int(os.environ.get("TEST_BAD_MESSAGES", "3000"))
ONE_GOOD_IN = 40
IN_FLIGHT = 100


@pytest.fixture
def consumer(start):
    """A running consumer of the student service."""
    # What is tried again is not part of this.
    return start("consume_events", TEST_RETRY_DELAYS="3600").until_ready()


class Publisher(Confirms):
    """Somebody who may write to the payment service's exchange, and writes what they like."""

    def send(self, body: bytes, properties: dict[str, Any]) -> None:
        self.published += 1
        self.open.add(self.published)
        message = amqp.Message(body, delivery_mode=2, **properties)
        exchange = f"{conf.current().BROKER_PREFIX}payment_service.events"
        self.channel.basic_publish(message, exchange=exchange, routing_key="user_subscribed")
        if len(self.open) >= IN_FLIGHT:
            self.wait()


def send(messages: Iterable[tuple[bytes, dict[str, Any]]]) -> None:
    connection = broker.connect("third_party")
    third_party = Publisher(broker.channel_of(connection))
    for body, properties in messages:
        third_party.send(body, properties)
    third_party.wait()
    broker.close(connection)


def good(number: int) -> list[bytes]:
    return [an_envelope(UserSubscribed, email=ADDRESS).to_json() for _ in range(number)]


def with_telling_ids(number: int) -> list[bytes]:
    """Good ones, whose ids are what no log should show."""
    events = [json.loads(body) for body in good(number)]
    return [
        json.dumps({**event, "id": f"{n} {ADDRESS} {CODE}"}).encode()
        for n, event in enumerate(events)
    ]


def about(bodies: list[bytes]) -> set[str]:
    return {json.loads(body)["subject"] for body in bodies}


@pytest.mark.timeout(400)  # ten thousand take a minute on a free machine
def test_bad_messages_are_each_set_aside_once_with_a_reason(consumer):
    handled, neighbours = [*good(40), *with_telling_ids(10)], good(NUMBER // ONE_GOOD_IN)
    send((body, {}) for body in handled)
    eventually(lambda: InboxMessage.objects.count() == len(handled))
    bad = list(bad_messages(SEED, NUMBER, handled))
    expected = {message.body[:LONGEST_BODY]: message for message in bad}
    mixed = [(message.body, message.properties) for message in bad]
    for n, body in enumerate(neighbours):
        mixed.insert(n * (ONE_GOOD_IN + 1), (body, {}))

    send(mixed)
    eventually(lambda: Effect.objects.count() == len(handled) + len(neighbours), within=300)
    eventually(lambda: SetAside.objects.count() >= len(expected), within=60)

    assert consumer.stop()[0] == 0
    # None reached a handler: what was done is for the good ones, and once each.
    done = [str(subject) for subject in Effect.objects.values_list("subscription_id", flat=True)]
    assert sorted(done) == sorted(about(handled) | about(neighbours))
    # Each is kept, as itself, and nothing else is.
    rows = {keeping.read(row).body: row for row in SetAside.objects.all()}
    assert rows.keys() == expected.keys()
    # The reason names what is wrong.
    unclear = [
        (message.kind, rows[body].reason)
        for body, message in expected.items()
        if message.says not in rows[body].reason
    ]
    assert unclear[:5] == []
    later = {row.state for body, row in rows.items() if expected[body].kind == "future type"}
    assert later == {"retrying"}
    dead = {row.state for body, row in rows.items() if expected[body].kind != "future type"}
    assert dead == {"dead"}
    # No secret is in the log, nor in what operators see of a row.
    assert [line for line in consumer.lines if leaks(line)] == []
    assert [
        row.reason
        for row in rows.values()
        if leaks(f"{row.reason}{row.traceback}{row.headers}{row.history}")
    ] == []


def leaks(text: str) -> bool:
    return ADDRESS in text or CODE in text


def test_they_contain_every_kind_of_bad_input():
    kinds = Counter(message.kind for message in bad_messages(SEED, NUMBER, good(50)))

    assert sum(kinds.values()) == NUMBER
    assert len(kinds) == len(set(KINDS))
    assert min(kinds.values()) > 10
