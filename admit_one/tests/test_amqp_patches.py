"""py-amqp's reader over real sockets, with our patches: it never blocks a loop forever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import amqp
import pytest
from admit_one.messaging.broker import amqp_patches
from amqp.transport import TCPTransport

FRAME = b"\x01\x00\x07\x00\x00\x00\x05hello\xce"


@pytest.fixture
def wire() -> Iterator[tuple[amqp.Connection, list[Any], socket.socket]]:
    """A connection as after its handshake, the frames it has read, and the broker's end."""
    ours, theirs = socket.socketpair()
    transport: Any = TCPTransport("broker:5672")
    transport.sock = ours
    transport._setup_transport()
    connection: Any = amqp.Connection()
    connection._transport = transport
    frames: list[Any] = []

    def take(frame: Any) -> bool:
        frames.append(frame)
        return True

    connection.on_inbound_frame = take
    yield connection, frames, theirs
    ours.close()
    theirs.close()


def look(connection: amqp.Connection) -> None:
    with suppress(TimeoutError):
        connection.drain_events(timeout=0)


def test_a_poll_of_a_silent_socket_does_not_wait(wire, monkeypatch):
    connection, _, _ = wire
    monkeypatch.setattr(amqp_patches, "REST_OF_A_FRAME", 60.0)
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    assert time.monotonic() - started < 30


def test_a_broker_silent_in_mid_frame_does_not_block_the_loop(wire, monkeypatch):
    connection, frames, broker = wire
    monkeypatch.setattr(amqp_patches, "REST_OF_A_FRAME", 0.05)
    broker.sendall(FRAME[:9])
    looking = threading.Thread(target=look, args=(connection,), daemon=True)
    looking.start()
    looking.join(timeout=10)

    assert not looking.is_alive()
    assert frames == []


@pytest.mark.parametrize("cut", range(1, len(FRAME)))
def test_a_frame_that_arrives_in_two_halves_is_read_whole(wire, monkeypatch, cut):
    connection, frames, broker = wire
    monkeypatch.setattr(amqp_patches, "REST_OF_A_FRAME", 0.01)
    broker.sendall(FRAME[:cut])
    look(connection)
    broker.sendall(FRAME[cut:])
    look(connection)

    assert frames == [(1, 7, b"hello")]


def test_a_poll_notices_the_end_of_the_connection(wire):
    connection, _, broker = wire
    broker.close()

    with pytest.raises(OSError, match="closed"):
        connection.drain_events(timeout=0)


def test_a_poll_finds_frames_already_buffered(wire):
    connection, frames, broker = wire
    broker.sendall(FRAME * 3 + FRAME[:4])
    look(connection)

    assert amqp_patches.frame_is_buffered(connection.transport)
    for _ in range(2):
        look(connection)

    assert frames == [(1, 7, b"hello")] * 3
    assert not amqp_patches.frame_is_buffered(connection.transport)


def test_grouped_writes_arrive_together_whole_and_in_order(wire):
    connection, _, broker = wire
    broker.setblocking(False)
    with amqp_patches.gathered_writes(connection.transport):
        for number in range(3):
            connection.transport.write(memoryview(bytearray(b"%d" % number)))
        with pytest.raises(BlockingIOError):
            broker.recv(10)

    assert broker.recv(10) == b"012"


def test_large_writes_do_not_wait_for_the_group_to_end(wire):
    connection, _, broker = wire
    with amqp_patches.gathered_writes(connection.transport):
        connection.transport.write(b"x" * amqp_patches.WRITE_AT_ONCE)
        first = broker.recv(1)

    assert first == b"x"


def test_an_answer_cut_off_in_mid_frame_times_out(wire):
    connection, frames, broker = wire
    connection.read_timeout = 0.05
    broker.sendall(FRAME[:9])
    waiting = ThreadPoolExecutor(1).submit(connection.drain_events)

    with pytest.raises(TimeoutError):
        waiting.result(timeout=10)
    assert waiting.done()
    assert frames == []
