"""Patches of py-amqp: faults that would block a loop for long or forever, a certificate that may be
for any host, and system calls for each frame.

py-amqp has no hooks for them. Tests cover each patch, so that an incompatible release is noticed.
"""

from __future__ import annotations

import random
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import amqp
import amqp.serialization
import amqp.transport

from . import lookup

BROKEN_PROPERTIES = "(broken properties)"
"""The property that marks a message whose AMQP properties could not be read.

It is no header, which anybody could send: AMQP has no property of such a name.
"""

READ_AHEAD = 8_192
"""Bytes that a read requests from the socket at least."""

FRAME_EXTRA = 8
"""Bytes of a frame around its payload: type, channel, size before it, and one after it."""

WRITE_AT_ONCE = 65_536
"""Bytes that are buffered before they are written to the socket."""

REST_OF_A_FRAME = 1.0
"""Seconds that the rest of a frame may take to arrive."""

LOOKUP_TIMEOUT = 3.0
"""Seconds for the addresses of a host; a lookup that takes longer is awaited again next time."""

CONNECT_TIMEOUT = 2.0
"""Seconds for all addresses of a host together, if none are given."""

SHORTEST_SHARE = 0.5
"""Seconds of these for one address at least."""


def _tolerate_broken_properties() -> None:
    """Deliver a message with unreadable properties, marked, instead of ending the loop.

    py-amqp raises such an error from `drain_events`, where it belongs to no message, and the
    message would be redelivered forever.
    """
    content: Any = amqp.serialization.GenericContent
    load: Callable[..., int] = content._load_properties  # noqa: SLF001

    def tolerant(self: Any, class_id: int, buf: bytes, offset: int) -> int:
        try:
            return load(self, class_id, buf, offset)
        except Exception as error:  # noqa: BLE001 (struct, Unicode, overflow: any broken byte)
            # Not the error's repr, which may hold the bytes of all properties.
            self.properties = {BROKEN_PROPERTIES: f"{type(error).__name__}: {error}"[:200]}
            return offset

    content._load_properties = tolerant  # noqa: SLF001


def _never_spin_on_half_a_frame() -> None:
    """Give every read a timeout.

    py-amqp reads a frame that has begun to its end, however long that takes; on a non-blocking
    socket it spins. A broker that falls silent in the middle of a frame would keep the process
    from its heartbeats and from a signal to stop.
    """
    connection: Any = amqp.Connection
    read: Callable[..., bool] = connection.blocking_read

    def bounded(self: Any, timeout: float | None = None) -> bool:
        if frame_is_buffered(self.transport):  # no wait, and no system calls for its timeout
            whole: bool = self.on_inbound_frame(self.transport.read_frame())
            return whole
        sock = self.transport.sock
        if timeout == 0 and sock is not None:
            if not _readable(sock):
                raise TimeoutError("nothing has arrived")
            timeout = REST_OF_A_FRAME
        elif timeout is None:
            timeout = self.read_timeout
        return read(self, timeout)

    connection.blocking_read = bounded


def _read_ahead() -> None:
    """Read all that has arrived at once, not each frame in three parts (header, payload, end).

    py-amqp buffers what it has read beyond a frame; see `frame_is_buffered`.
    """
    transport: Any = amqp.transport.TCPTransport
    set_up: Callable[[Any], None] = transport._setup_transport  # noqa: SLF001

    def reading_ahead(self: Any) -> None:
        set_up(self)
        receive = self.sock.recv
        self._quick_recv = lambda wanted: receive(max(wanted, READ_AHEAD))

    transport._setup_transport = reading_ahead  # noqa: SLF001


def _require_the_nodes_own_name() -> None:
    """Where a certificate is required and no name is given, require the name connected to.

    py-amqp would accept any name. One name cannot be given for a list of nodes.
    """
    transport: Any = amqp.transport.SSLTransport
    wrap: Callable[..., Any] = transport._wrap_socket  # noqa: SLF001

    def with_name(self: Any, sock: Any, **options: Any) -> Any:
        if options.get("cert_reqs") == ssl.CERT_REQUIRED and not options.get("server_hostname"):
            options["server_hostname"] = self.host
        return wrap(self, sock, **options)

    transport._wrap_socket = with_name  # noqa: SLF001


def _reach_any_address() -> None:
    """Try the addresses of a host in random order, within the time of one, and bound their lookup.

    py-amqp awaits the resolver for as long as that takes, and tries the addresses in its order: a
    first node that accepts connections and is silent would hide the others for good.
    """

    def connect(self: Any, host: str, port: int, timeout: float | None) -> None:
        until = time.monotonic() + (timeout or CONNECT_TIMEOUT)
        addresses = lookup.addresses(host, port, LOOKUP_TIMEOUT)
        random.shuffle(addresses)
        problem = OSError(f"the host {host} has no address")
        while addresses:
            share = max(SHORTEST_SHARE, (until - time.monotonic()) / len(addresses))
            try:
                self.sock = socket.create_connection((addresses.pop(), port), timeout=share)
            except OSError as error:
                problem = error
            else:
                return
        raise problem

    module: Any = amqp.transport
    module._AbstractTransport._connect = connect  # noqa: SLF001


def frame_is_buffered(transport: Any) -> bool:
    """Whether a whole frame is in py-amqp's buffer, so that the socket need not be readable."""
    read: bytes = transport._read_buffer  # noqa: SLF001
    return len(read) >= FRAME_EXTRA and len(read) >= FRAME_EXTRA + int.from_bytes(read[3:7], "big")


@contextmanager
def gathered_writes(transport: Any) -> Iterator[None]:
    """Write what the block sends to the socket in large pieces.

    For hundreds of messages, one system call each costs the broker and us as much as the work.
    After an error in the block, drop the connection: half a frame may have been sent.
    """
    write = transport._write  # noqa: SLF001
    gathered = bytearray()

    def gather(data: bytes | memoryview) -> None:
        gathered.extend(data)  # a copy: py-amqp reuses its buffer
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


_reach_any_address()
_require_the_nodes_own_name()
_tolerate_broken_properties()
_never_spin_on_half_a_frame()
_read_ahead()
