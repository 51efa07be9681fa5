"""Patches of py-amqp: two faults that would hold a loop for ever, and a system call for each frame.

py-amqp gives no other way in. The tests show each fault's remedy at work, so that a new release
of py-amqp that reads otherwise is noticed.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import amqp
import amqp.serialization
import amqp.transport

BROKEN_PROPERTIES = "x-broken-properties"
"""The header that marks a message whose AMQP properties could not be read."""

READ_AHEAD = 8_192
"""Bytes asked of the socket at least."""

FRAME_EXTRA = 8
"""Bytes of a frame around its payload: type, channel, size before it, and one after it."""

WRITE_AT_ONCE = 65_536
"""Bytes that are handed to the socket together."""

REST_OF_A_FRAME = 1.0
"""Seconds that a frame which has begun may take to arrive whole, before others get their turn."""


def _tolerate_broken_properties() -> None:
    """Deliver a message with unreadable properties, marked, instead of ending the loop.

    py-amqp lets such an error out of `drain_events`, where it belongs to no message, and the
    message would come again for ever.
    """
    content: Any = amqp.serialization.GenericContent
    load: Callable[..., int] = content._load_properties  # noqa: SLF001

    def tolerant(self: Any, class_id: int, buf: bytes, offset: int) -> int:
        try:
            return load(self, class_id, buf, offset)
        except Exception as error:  # noqa: BLE001 (struct, Unicode, overflow: any broken byte)
            self.properties = {"application_headers": {BROKEN_PROPERTIES: repr(error)[:200]}}
            return offset

    content._load_properties = tolerant  # noqa: SLF001


def _never_spin_on_half_a_frame() -> None:
    """Read with an end, from a socket that has one too.

    Where py-amqp only looks (a socket that does not block) or waits for an answer (one with the
    kernel's time-out), it reads a frame that has begun to its end, however long that takes, and
    when looking with all of the processor. A broker that falls silent in the middle of a frame
    would keep the process from its heartbeats and from a signal to stop.
    """
    connection: Any = amqp.Connection
    read: Callable[..., bool] = connection.blocking_read

    def patient(self: Any, timeout: float | None = None) -> bool:
        sock = self.transport.sock
        if timeout == 0 and sock is not None:
            if not frame_is_buffered(self.transport) and not _readable(sock):
                raise TimeoutError("nothing has arrived")
            timeout = REST_OF_A_FRAME
        elif timeout is None:
            timeout = self.read_timeout
        return read(self, timeout)

    connection.blocking_read = patient


def _read_ahead() -> None:
    """Take from the socket what has arrived, not each frame by seven bytes, the payload, and one.

    py-amqp keeps what it has read too much; the rest is for `frame_is_buffered`.
    """
    transport: Any = amqp.transport.TCPTransport
    set_up: Callable[[Any], None] = transport._setup_transport  # noqa: SLF001

    def thirsty(self: Any) -> None:
        set_up(self)
        receive = self.sock.recv
        self._quick_recv = lambda wanted: receive(max(wanted, READ_AHEAD))

    transport._setup_transport = thirsty  # noqa: SLF001


def frame_is_buffered(transport: Any) -> bool:
    """Whether a whole frame was read from the socket already, which will not be readable for it."""
    read: bytes = transport._read_buffer  # noqa: SLF001
    return len(read) >= FRAME_EXTRA and len(read) >= FRAME_EXTRA + int.from_bytes(read[3:7], "big")


@contextmanager
def gathered_writes(transport: Any) -> Iterator[None]:
    """Hand what the block writes to the socket in large pieces.

    Hundreds of messages one by one cost the broker and us as much for the calls as for the work.
    After an error in the block the connection is useless: a frame may have been sent by half.
    """
    write = transport._write  # noqa: SLF001
    gathered = bytearray()

    def gather(data: bytes | memoryview) -> None:
        gathered.extend(data)  # a copy: py-amqp uses its own buffer again
        if len(gathered) >= WRITE_AT_ONCE:
            write(gathered)
            gathered.clear()

    transport._write = gather  # noqa: SLF001
    try:
        yield
    finally:
        transport._write = write  # noqa: SLF001
    transport.write(gathered)


def _readable(sock: Any) -> bool:
    undelivered = getattr(sock, "pending", None)  # what TLS has decrypted already
    if undelivered is not None and undelivered():
        return True
    ready = select.poll()
    ready.register(sock, select.POLLIN)
    return bool(ready.poll(0))


_tolerate_broken_properties()
_never_spin_on_half_a_frame()
_read_ahead()
