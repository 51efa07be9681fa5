"""Connections to the broker, and waiting for it. Publishing is in `publisher.py`.

Every wait on the broker is bounded. By default, py-amqp has no heartbeats and no read timeout,
and gives up a connection after one second of silence while data is in flight.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import amqp.spec
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed
from kombu import Connection
from kombu.exceptions import KombuError

from admit_one import embedded_broker  # noqa: F401  (makes sqlite:////path a broker URL)
from admit_one.environment import urls
from admit_one.environment.addresses import REDIS
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

from . import amqp_patches

logger = EventLogger(__name__)

BROKER_ERRORS = (AMQPError, KombuError, OSError, UnicodeError, struct.error)
"""What an unavailable or silent broker, or one that sends garbage, raises; never a handler."""

HEARTBEAT = 10
CONNECT_TIMEOUT = 2
IO_TIMEOUT = 3
"""Seconds for one answer of the broker. An idle process awaits at most one before it stops."""
ROUND = 6.0
"""Seconds after which no further node is tried at once, so that a signal to stop is noticed."""
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


def connect(role: str, nodes: Sequence[urls.Url] = ()) -> Connection:
    """Open a connection that the management UI shows as `role`. Raises one of `BROKER_ERRORS`.

    Tries `nodes`, by default those of BROKER_URL, in random order until one accepts.
    """
    nodes, errors = list(nodes or conf.current().nodes), []
    random.shuffle(nodes)
    began = time.monotonic()
    for node in nodes:
        try:
            return _connect(urls.write(node), role)
        except BROKER_ERRORS as error:
            errors.append(error)
        if time.monotonic() - began > ROUND:
            break
    # The answer of a node that refuses us says more than that another one is down.
    raise next((error for error in errors if not isinstance(error, OSError)), errors[-1])


def _connect(url: str, role: str) -> Connection:
    service = conf.current().service.name
    connection = Connection(
        url,
        heartbeat=HEARTBEAT,
        connect_timeout=CONNECT_TIMEOUT,
        ssl=tls(url),
        transport_options=transport_options(url, f"{service} {role} {os.getpid()}"),
    )
    try:
        # Once: kombu's own connect() sleeps and retries, and a signal to stop does not end it.
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    except BaseException:
        drop(connection)
        raise
    return connection


def shuffled(listed: str) -> str:
    """A list of nodes in random order, for a library that tries them in turn."""
    nodes = urls.split(listed)
    random.shuffle(nodes)
    return ";".join(nodes)


@contextmanager
def connected(role: str, nodes: Sequence[urls.Url] = ()) -> Iterator[Connection]:
    """A connection from `connect` for the duration of a block."""
    connection = connect(role, nodes)
    try:
        yield connection
    except BaseException:
        drop(connection)
        raise
    close(connection)


def in_words(error: Exception) -> str:
    """One of `BROKER_ERRORS`, in words for operators, without a secret."""
    refused = isinstance(error, AccessRefused | NotAllowed)
    what = "refuses this user or virtual host" if refused else "does not answer"
    return f"the broker {what}: {mask(str(error)) or type(error).__name__}"


def transport_options(url: str, name: str) -> dict[str, Any]:
    """Kombu's options that bound every wait on the broker; the management UI shows `name`."""
    if url.startswith("sqlite:"):
        return {}
    if url.startswith(REDIS):  # for Celery's wake-ups only, which are lost without harm
        return {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_timeout": 5 * IO_TIMEOUT}
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
    pulse.trouble = "the broker accepts no messages now (memory or disk alarm)"
    logger.warning("broker_blocked", pulse.trouble)


def _unblocked(*_: object) -> None:
    pulse.trouble = ""
    logger.warning("broker_unblocked", "the broker accepts messages again")


def tls(listed: str) -> dict[str, Any] | bool:
    """Kombu's `ssl` for a URL or a list of nodes: with amqps, a certificate must match its host.

    It trusts the system's certificate authorities, or those in SSL_CERT_FILE.
    """
    if not listed.startswith("amqps:"):
        return False
    nodes = urls.read_all(listed, "")
    # Without the name, py-amqp accepts any certificate that a trusted authority has signed. Each
    # node of several has its own name, which `amqp_patches` fills in.
    name = {"server_hostname": nodes[0].hosts[0].name} if len(nodes) == 1 else {}
    return {
        **name,
        "cert_reqs": ssl.CERT_REQUIRED,
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
    }


def drop(connection: Connection | None) -> None:
    """Drop a connection without telling the broker, which may not be listening."""
    if connection is not None:
        with suppress(*BROKER_ERRORS, AttributeError):
            connection.collect()


def close(connection: Connection) -> None:
    """Close a connection without waiting for the broker's answer, which may never come."""
    with suppress(*BROKER_ERRORS, AttributeError):
        if connection.transport.driver_type == "amqp":
            amqp_connection = connection.connection
            amqp_connection.send_method(amqp.spec.Connection.Close, "BsBB", (0, "", 0, 0))
    drop(connection)


def channel_of(connection: Connection) -> Any:
    """A new channel that delivers bodies as undecoded bytes."""
    channel: Any = connection.channel()
    channel.auto_decode = False
    return channel


def arrived(connection: Connection) -> bool:
    """Handle one event that has arrived; returns whether there was one. Never waits."""
    try:
        connection.drain_events(timeout=0)
    except (TimeoutError, BlockingIOError):
        return False
    return True


def frames(connection: Connection) -> int:
    """A number that changes whenever the broker has sent something, heartbeats included."""
    if connection.transport.driver_type == "amqp":
        received: int = connection.connection.bytes_recv  # it counts frames, despite its name
        return received
    return time.monotonic_ns()  # the embedded broker is a file and never silent


def wait(connection: Connection, seconds: float, stop: Stop, *others: int) -> None:
    """Wait for data from the broker, for one of `others` (descriptors), or for `stop`.

    Returns after `seconds` at the latest. Raises `ConnectionError` if the connection is closed.
    """
    wire: Any = connection.connection
    if connection.transport.driver_type == "amqp":
        sock = wire.transport.sock
        if sock is None or sock.fileno() < 0:
            raise ConnectionError("the connection to the broker is closed")
        if amqp_patches.frame_is_buffered(wire.transport):
            return
        stop.wait(seconds, sock.fileno(), *others)
        return
    # A consumer of the embedded broker also looks at regular intervals for holders that died.
    consumes = any(channel.consumers for channel in wire.channels.values())
    patience = min(seconds, wire.interval) if consumes else seconds
    stop.wait(patience, wire.fileno(), *others)
