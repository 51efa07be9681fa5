"""How we are connected to the broker, and how we wait for it. What is sent: `publisher.py`.

Bounds: every wait on the broker ends. py-amqp has no heartbeats and no read timeout of its own,
and gives a connection up after one second of silence while data is in flight.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import amqp.spec
from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import KombuError

from admit_one import embedded_broker  # noqa: F401  (makes sqlite:////path a broker URL)
from admit_one.logs import EventLogger
from admit_one.messaging import conf
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

from . import amqp_patches

logger = EventLogger(__name__)

BROKER_ERRORS = (AMQPError, KombuError, OSError, UnicodeError, struct.error)
"""What a broker that is away, silent or babbling raises. A handler's errors never get here."""

HEARTBEAT = 10
CONNECT_TIMEOUT = 2
IO_TIMEOUT = 3
"""Seconds for one answer of the broker. An idle process awaits one, at most, before it stops."""
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


def connect(role: str) -> Connection:
    """A live connection, shown as `role` on the broker's pages. Raises one of `BROKER_ERRORS`."""
    current = conf.current()
    connection = Connection(
        current.BROKER_URL,
        heartbeat=HEARTBEAT,
        connect_timeout=CONNECT_TIMEOUT,
        ssl=tls(current.BROKER_URL),
        transport_options=transport_options(
            current.BROKER_URL, f"{current.service.name} {role} {os.getpid()}"
        ),
    )
    try:
        # Once: kombu's own connect() sleeps and tries again, deaf to a signal to stop.
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    except BaseException:
        drop(connection)
        raise
    return connection


def transport_options(url: str, name: str) -> dict[str, Any]:
    """Kombu's options that bound every wait on the broker; `name` is shown on its pages."""
    if url.startswith("sqlite:"):
        return {}
    settings = {} if TCP_USER_TIMEOUT is None else {TCP_USER_TIMEOUT: 15_000}
    return {
        "read_timeout": IO_TIMEOUT,
        "write_timeout": IO_TIMEOUT,
        "socket_settings": settings,
        "client_properties": {"connection_name": name},
        "on_blocked": _blocked,
        "on_unblocked": _unblocked,
    }


def _blocked(*_: object) -> None:
    pulse.trouble = "the broker takes no messages now (alarm)"
    logger.warning("broker_blocked", pulse.trouble)


def _unblocked(*_: object) -> None:
    pulse.trouble = ""
    logger.warning("broker_unblocked", "the broker takes messages again")


def tls(url: str) -> dict[str, Any] | bool:
    """Kombu's `ssl` for the broker at `url`: with amqps, its certificate must be for its name.

    The authorities are the system's; SSL_CERT_FILE names others.
    """
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return False
    return {
        # Without the name, py-amqp takes any certificate that one of the authorities has signed.
        "server_hostname": parts.hostname,
        "cert_reqs": ssl.CERT_REQUIRED,
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
    }


def drop(connection: Connection | None) -> None:
    """Let go of a connection without a word to the other side, which may not be listening."""
    if connection is not None:
        with suppress(*BROKER_ERRORS, AttributeError):
            connection.collect()


def close(connection: Connection) -> None:
    """Say goodbye and let go, without waiting for an answer that may never come."""
    with suppress(*BROKER_ERRORS, AttributeError):
        if connection.transport.driver_type == "amqp":
            amqp_connection = connection.connection
            amqp_connection.send_method(amqp.spec.Connection.Close, "BsBB", (0, "", 0, 0))
    drop(connection)


def channel_of(connection: Connection) -> Any:
    """A new channel that hands out bodies as the bytes they are."""
    channel: Any = connection.channel()
    channel.auto_decode = False
    return channel


def arrived(connection: Connection) -> bool:
    """Handle one thing that has arrived, if there is one; never waits."""
    try:
        connection.drain_events(timeout=0)
    except (TimeoutError, BlockingIOError):
        return False
    return True


def frames(connection: Connection) -> int:
    """A number that changes whenever something has come from the broker, a heartbeat included."""
    if connection.transport.driver_type == "amqp":
        received: int = connection.connection.bytes_recv  # frames, whatever its name
        return received
    return time.monotonic_ns()  # the embedded broker is a file, which is read at every turn


def wait(connection: Connection, seconds: float, stop: Stop, *others: int) -> None:
    """Wait until something may have arrived, `others` are readable, stop is asked, or the time."""
    wire: Any = connection.connection
    if connection.transport.driver_type == "amqp":
        sock = wire.transport.sock
        if sock is None or sock.fileno() < 0:
            raise ConnectionError("the connection to the broker is closed")
        if amqp_patches.frame_is_buffered(wire.transport):
            return
        stop.wait(seconds, sock.fileno(), *others)
        return
    # Whoever consumes from the embedded broker also looks by its own clock for those who died.
    consumes = any(channel.consumers for channel in wire.channels.values())
    patience = min(seconds, wire.interval) if consumes else seconds
    stop.wait(patience, wire.fileno(), *others)
