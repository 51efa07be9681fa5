"""What relay and consumer have in common as processes: they stay connected until told to stop."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.db import connection as database
from kombu import Connection

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.messaging import conf, metrics
from admit_one.processes.backoff import next_delay
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Announcer, Stop
from admit_one.sealing import canaries

from . import connection as broker
from . import topology

logger = logging.getLogger(__name__)

AWAY = (*broker.AWAY, *outage.DATABASE_ERRORS, outage.LetGo)

STEADY = 10.0
"""Seconds after which a connection counts as one that held."""

Session = Callable[[Connection, Callable[[], None]], None]
"""Works over one connection until stop, and calls its second argument once it is ready."""


def run_connected(role: str, session: Session, stop: Stop) -> None:
    """Run `session`, again and again over new connections, until asked to stop.

    A broker or database that is away is reported once and tried again with growing pauses.
    Raises `broker.TopologyDiffers`: the broker holds something of another kind by our name; and
    `keys.WrongKey`: our keys are not those of the database.
    """
    current = conf.current()
    announcer = Announcer()
    failures, ready_at = 0, math.inf

    def ready() -> None:
        nonlocal ready_at
        ready_at = time.monotonic()
        pulse.connected()
        announcer.over(f"{current.SERVICE} {role} works again")
        logger.info("%s %s ready", current.SERVICE, role)

    checked = False
    while not stop:
        pulse.beat()
        connection, ready_at = None, math.inf
        try:
            if not checked:
                canaries.check()
                checked = True
            connection = broker.connect(role)
            if current.DECLARE_TOPOLOGY:
                broker.declare(connection, topology.ours())
            session(connection, ready)
            broker.close(connection)
        except AWAY as error:
            broker.drop(connection)
            outage.forget_connection()
            # A connection that breaks as soon as it is made is one long trouble, not many.
            failures = 1 if time.monotonic() - ready_at > STEADY else failures + 1
            reason = mask(str(error)) or type(error).__name__
            if stop:
                logger.warning("%s %s stops: %s", current.SERVICE, role, reason)
                return
            pulse.disconnected(f"it waits: {type(error).__name__}: {reason}")
            metrics.RECONNECTS.inc()
            announcer.trouble(f"{current.SERVICE} {role} waits: {type(error).__name__}: {reason}")
            stop.wait(next_delay(failures, first=0.5, most=10.0))


def describe(role: str, does: str, broker_url: str = "") -> str:
    """One line: what this process is, what it is connected to (no password), what it does."""
    current = conf.current()
    return (
        f"{current.SERVICE} {role}: {does}; "
        f"database {_database()}; broker {_without_password(broker_url or current.BROKER_URL)}"
    )


def _database() -> str:
    settings = database.settings_dict
    if database.vendor == "sqlite":
        return f"sqlite {settings['NAME']}"
    return f"postgresql {settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return f"embedded {parts.path[1:]}"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.username or 'guest'}@{parts.hostname}{port}{parts.path}"


@contextmanager
def only_one_on_sqlite(name: str, stop: Stop) -> Iterator[None]:
    """On SQLite, wait until no other process does `name`; its death frees the place at once.

    PostgreSQL needs none of this: there, row locks share the work.
    """
    if database.vendor != "sqlite":
        yield
        return
    path = f"{database.settings_dict['NAME']}.{name}-lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    announcer = Announcer()
    try:
        while not stop:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                waits = f"another {name} works on this database; this one stands by"
                pulse.beat()
                pulse.disconnected(waits)
                announcer.trouble(waits)
                stop.wait(1.0)
        yield
    finally:
        os.close(descriptor)
