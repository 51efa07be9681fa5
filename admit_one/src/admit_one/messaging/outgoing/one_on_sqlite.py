"""On SQLite one relay works at a time; another one stands by and takes over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection as database

from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

LOOK_EVERY = 1.0
"""Seconds between two looks whether the place is free."""


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
    try:
        _wait_for_lock(descriptor, name, stop)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, name: str, stop: Stop) -> None:
    announcer = Announcer()
    while not stop:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            waits = f"another {name} works on this database; this one stands by"
            pulse.beat()
            pulse.disconnected(waits)
            announcer.trouble("process_stands_by", waits)
            stop.wait(LOOK_EVERY)
        else:
            return
