"""The relay process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection as database

from admit_one.messaging import conf
from admit_one.messaging.broker.session import run_connected, start
from admit_one.messaging.outgoing.relay import Relay
from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop

LOOK_EVERY = 1.0
"""Seconds between two attempts to get the lock from another relay."""


class Command(ServiceCommand):
    help = (
        "Publish the events in this service's outbox, until SIGTERM or Ctrl-C. "
        "Several may run: on PostgreSQL they share the rows, on SQLite one works while others wait."
    )

    def handle(self, **_: Any) -> None:
        stop = Stop().on_signals()
        keys = ", ".join(event.type for event in conf.current().service.publishes)
        start("relay", f"publishes {keys}")
        relay = Relay()
        with _only_one_on_sqlite(stop):
            run_connected(
                "relay", lambda connection, ready: relay.run(connection, stop, ready), stop
            )
        stop.done()


@contextmanager
def _only_one_on_sqlite(stop: Stop) -> Iterator[None]:
    """On SQLite, wait until no other relay works; its death frees the lock at once.

    On PostgreSQL, row locks share the work.
    """
    if database.vendor != "sqlite":
        yield
        return
    path = f"{database.settings_dict['NAME']}.relay-lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for_lock(descriptor, stop)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, stop: Stop) -> None:
    announcer = Announcer()
    while not stop:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            waits = "another relay works on this database; this one stands by"
            pulse.beat()
            pulse.disconnected(waits)
            announcer.trouble("process_stands_by", waits)
            stop.wait(LOOK_EVERY)
        else:
            return
