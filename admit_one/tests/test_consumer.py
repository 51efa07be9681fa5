"""Broker to handlers, with real processes: a fault costs only the message that has it."""

from __future__ import annotations

import bz2
import select
import struct
import time
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import amqp
import pytest
from admit_one.contract.errors import Transient
from admit_one.messaging import conf
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import topology
from admit_one.messaging.inbox import Received
from admit_one.messaging.incoming import breaker
from admit_one.messaging.incoming.consumer import BatchConsumer
from admit_one.messaging.models import InboxMessage, SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope
from admit_one.processes import pulse
from admit_one.processes.stopping import Stop
from amqp import basic_message
from django.db.models.functions import Now
from shared_contracts.events import UserSubscribed

from tests import rabbit
from tests.models import Effect
from tests.processes import broker_url, eventually

pytestmark = pytest.mark.django_db(transaction=True)


def requests(number, **changes):
    return [an_envelope(UserSubscribed, **changes) for _ in range(number)]


def send(prefix, *envelopes):
    rabbit.send(prefix, *(envelope.to_json() for envelope in envelopes))


def handled():
    return Effect.objects.count()


def empty(prefix):
    """Whether nothing waits for the consumer and nothing is held by it."""
    with rabbit.channel() as channel:
        inbox = f"{prefix}student_service.inbox"
        ready = channel.queue_declare(inbox, passive=True).method.message_count
    return ready == 0


def states():
    return dict(SetAside.objects.values_list("event_id", "state"))


def test_waiting_and_new_messages_are_handled_and_acknowledged(start, prefix):
    send(prefix, *requests(20))
    process = start("consume_events").until_ready()
    eventually(lambda: handled() == 20)
    send(prefix, *requests(10))
    eventually(lambda: handled() == 30)

    assert process.stop()[0] == 0
    assert empty(prefix)
    assert process.said("consumer: handles user_subscribed") == 1


def test_two_consumers_share_the_work_and_each_event_has_one_effect(start, prefix):
    messages = requests(200)
    consumers = [start("consume_events").until_ready() for _ in range(2)]
    send(prefix, *messages, *messages[:50])
    eventually(lambda: InboxMessage.objects.count() == 200 and empty(prefix))

    assert {c.stop()[0] for c in consumers} == {0}
    assert handled() == 200
    assert empty(prefix)


def test_a_poison_message_affects_no_other_in_the_prefetch_window(start, prefix):
    process = start("consume_events").until_ready()
    send(prefix, *requests(1))
    eventually(lambda: handled() == 1)
    poison = an_envelope(UserSubscribed, user_id="fail")
    send(prefix, *requests(25), poison, *requests(25))
    eventually(lambda: handled() == 51 and SetAside.objects.count() == 1)

    assert process.stop()[0] == 0
    assert states() == {poison.id: "retrying"}
    assert empty(prefix)


def test_the_running_consumer_retries_a_message_set_aside(start, prefix):
    poison = an_envelope(UserSubscribed, user_id="fail")
    process = start("consume_events", TEST_RETRY_DELAYS="1,1").until_ready()
    send(prefix, poison)

    eventually(lambda: states() == {poison.id: "dead"})

    assert SetAside.objects.get().attempts == 2
    eventually(lambda: process.said("dead after try 2") == 1)


def test_heartbeats_and_pulse_continue_between_retries(prefix, handle):
    for request in requests(3):
        message = Received.read(request.to_json(), queue="student_service.inbox")
        keeping.keep(message, Transient("later"), dead=False)
    SetAside.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    connection, stop = broker.connect("test"), Stop()
    beats: list[float] = []
    came: list[int] = []

    def slow(messages):
        beats.append(pulse.pulse._beat_at)
        came.append(broker.frames(connection))
        rabbit.send(prefix, b"{}")  # the broker has something to say during each retry
        if len(beats) == 3:
            stop.ask()
        select.select([connection.connection.transport.sock], [], [], 10)

    handle(slow)
    try:
        BatchConsumer(connection, conf.handlers(), stop, breaker.Breaker()).run(lambda: None)
    finally:
        broker.close(connection)

    assert len(set(beats)) == len(set(came)) == 3


def ended_or_dead(process, event_id):
    return lambda: process.exit_code is not None or states().get(event_id) == "dead"


def test_a_message_that_kills_its_process_dies_and_its_neighbours_are_handled(
    start, prefix, monkeypatch
):
    """As a supervisor would, start the consumer again each time that it has ended."""
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", 3)  # of 20: the same rule in less time
    rabbit.delete(prefix)
    rabbit.declare(prefix)
    killer = an_envelope(UserSubscribed, user_id="kill")
    send(prefix, *requests(10), killer, *requests(10))
    starts = 0

    while states().get(killer.id) != "dead":
        starts += 1
        # The window in which its neighbours were, too, its deliveries, its tries, and the end.
        assert starts <= 1 + 4 + 2 + 1
        process = start("consume_events", TEST_RETRY_DELAYS="1,1")
        eventually(ended_or_dead(process, killer.id))

    eventually(lambda: handled() == 20)
    row = SetAside.objects.get()
    assert (row.suspect, row.attempts) == (True, 3)
    assert row.reason == "the process ended during try 1, and during try 2"
    assert empty(prefix)


def test_a_release_that_fails_every_message_soon_stops_consuming(start, prefix):
    send(prefix, *requests(70, user_id="fail"))
    process = start("consume_events").until("holding the rest")
    first = SetAside.objects.count()
    time.sleep(3)  # two tries of the one it holds

    assert process.stop()[0] == 0
    assert first == SetAside.objects.count() == breaker.MOST_ALIKE
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") > 0)
    mended = start("consume_events", TEST_WIRING="tests.handlers").until_ready()
    eventually(lambda: handled() == 70 and empty(prefix))
    assert mended.stop()[0] == 0


def test_poison_messages_never_hold_up_good_ones(start, prefix):
    mixed = [m for _ in range(60) for m in (*requests(1, user_id="fail"), *requests(1))]
    process = start("consume_events").until_ready()
    send(prefix, *mixed)
    eventually(lambda: handled() == 60 and SetAside.objects.count() == 60)

    assert process.said("holding the rest") == 0
    assert process.stop()[0] == 0


# what the broker may bring


def raw_publish(prefix, message, key="user_subscribed"):
    """With py-amqp as it is, which writes what pika refuses to."""
    parts = rabbit.parameters()
    connection = amqp.Connection(
        f"{parts.host}:{parts.port}",
        userid=parts.credentials.username,
        password=parts.credentials.password,
        virtual_host=parts.virtual_host,
    )
    connection.connect()
    channel = connection.channel()
    channel.basic_publish_confirm(message, f"{prefix}payment_service.events", key)
    connection.close()


class Raw(basic_message.Message):
    """A message whose properties are these very bytes: flags and values (AMQP 0-9-1, 4.2.6)."""

    def __init__(self, body, properties):
        super().__init__(body)
        self._raw = properties

    def _serialize_properties(self):
        return self._raw


def shortstr(value: bytes) -> bytes:
    return bytes([len(value)]) + value


TIMESTAMP_BEYOND_ANY_DATE = struct.pack(">q", 2**63 - 1)
HEADER_TIMESTAMP = b"\x01tT" + TIMESTAMP_BEYOND_ANY_DATE

BROKEN = {
    "message_id is not UTF-8": struct.pack(">H", 1 << 7) + shortstr(b"\xff\xfe"),
    "content_type is not UTF-8": struct.pack(">H", 1 << 15) + shortstr(b"\xff\xfe"),
    "a header is a time beyond any date": (
        struct.pack(">H", 1 << 13) + struct.pack(">I", len(HEADER_TIMESTAMP)) + HEADER_TIMESTAMP
    ),
    "the timestamp is beyond any date": struct.pack(">H", 1 << 6) + TIMESTAMP_BEYOND_ANY_DATE,
}


def test_broken_properties_affect_only_their_own_messages(start, prefix):
    process = start("consume_events").until_ready()
    for properties in BROKEN.values():
        send(prefix, *requests(3))
        raw_publish(prefix, Raw(an_envelope(UserSubscribed).to_json(), properties))
    send(prefix, *requests(3))
    eventually(lambda: handled() + SetAside.objects.count() == 4 * len(BROKEN) + 3)

    assert handled() >= 3 * len(BROKEN) + 3
    assert SetAside.objects.count() >= 3
    assert process.stop()[0] == 0
    assert process.said(" waits: ") == 0
    assert empty(prefix)
    for row in SetAside.objects.all():
        assert (row.state, row.error) == ("dead", "Malformed")
        assert "its AMQP properties are unreadable" in row.reason


def bomb() -> bytes:
    """300 MB of nothing in a few hundred bytes."""
    return bz2.compress(bytes(300_000_000))


HOSTILE: list[tuple[bytes, dict[str, Any]]] = [
    (bomb(), {"content_encoding": "utf-8", "headers": {"compression": "application/x-bz2"}}),
    (zlib.compress(b"{}" * 10_000), {"headers": {"compression": "application/x-gzip"}}),
    (b"\x80\x04K\x01.", {"content_type": "application/x-python-serialize"}),
    (b"", {}),
    (b"[" * 200_000, {"content_type": "application/json"}),
    (b'{"a":' + b"9" * 5_000 + b"}", {"content_type": "application/json"}),
    (b"x" * 1_000_000, {}),
]


def test_hostile_bodies_are_set_aside_byte_for_byte_and_never_unpacked(start, prefix):
    process = start("consume_events").until_ready()
    for body, properties in HOSTILE:
        rabbit.send(prefix, body, **properties)
        send(prefix, *requests(1))
    eventually(lambda: handled() == SetAside.objects.count() == len(HOSTILE))

    assert peak_memory_of(process.pid) < 200_000_000
    assert process.stop()[0] == 0
    kinds = set(SetAside.objects.values_list("state", "error"))
    assert kinds == {("dead", "Malformed")}


def peak_memory_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def test_thousands_of_copies_have_one_effect(start, prefix):
    [request] = requests(1)
    start("consume_events").until_ready()
    send(prefix, *[request] * 1_000)
    eventually(lambda: empty(prefix))
    eventually(lambda: handled() == 1)

    assert InboxMessage.objects.count() == 1


# when the broker leaves


def test_a_broker_outage_is_logged_once_and_survived(start, prefix, broker_proxy):
    process = start("consume_events", TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    broker_proxy.refuse()
    process.until(" waits: ")
    send(prefix, *requests(3))
    broker_proxy.listen_again()
    eventually(lambda: handled() == 3)

    assert process.said(" waits: ") == 1
    assert process.said(" works again after ") == 1
    assert process.stop()[0] == 0


def test_broken_connections_lose_no_message_and_repeat_no_effect(start, prefix, broker_proxy):
    process = start("consume_events", TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    messages = requests(300, user_id="slow-0.002")
    for part in range(3):
        send(prefix, *messages[part * 100 : part * 100 + 100])
        broker_proxy.cut()
        broker_proxy.until_accepted(part + 2)
    eventually(lambda: handled() == 300 and empty(prefix))

    assert InboxMessage.objects.count() == 300
    assert SetAside.objects.count() == 0
    assert process.stop()[0] == 0


def test_a_silent_broker_is_noticed_and_disconnected(start, prefix, broker_proxy):
    """Two heartbeats of 10 s: nothing else tells a silent broker from an idle one."""
    process = start("consume_events", TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    broker_proxy.silence()
    send(prefix, *requests(1))

    process.until(" waits: ", 45)
    broker_proxy.carry()
    eventually(lambda: handled() == 1)


def test_the_consumer_waits_for_a_missing_queue(start, prefix):
    rabbit.delete(prefix)
    process = start("consume_events").until("manage.py declare_topology")

    rabbit.declare(prefix)
    process.until_ready()
    send(prefix, *requests(1))

    eventually(lambda: handled() == 1)


def test_a_running_consumer_notices_a_deleted_queue_and_waits_for_it(start, prefix):
    process = start("consume_events").until_ready()
    rabbit.delete(prefix)
    process.until(" waits: ")

    rabbit.declare(prefix)
    process.until(" works again after ")
    send(prefix, *requests(1))

    eventually(lambda: handled() == 1)
