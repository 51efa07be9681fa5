"""What a third party may send harms only itself."""

from __future__ import annotations

import bz2
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import amqp
import pytest
from admit_one.messaging.models import SetAside
from admit_one.messaging.testing import an_envelope
from amqp import basic_message

from tests import rabbit
from tests.consumer.steps import empty, handled, requests, send
from tests.contract.events import UserSubscribed
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_large_messages_are_taken_few_at_a_time(start, prefix):
    send(prefix, *requests(1))
    for _ in range(60):
        rabbit.send(prefix, bytes(4_000_000) + os.urandom(8))
    process = start("consume_events").until_ready()
    eventually(lambda: SetAside.objects.count() == 60, within=60)

    assert peak_memory_of(process.pid) < 200_000_000
    assert process.stop()[0] == 0
    assert empty(prefix)


def peak_memory_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
