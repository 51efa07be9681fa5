"""Keeps the broker connection alive while unacknowledged messages wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kombu import Connection

from admit_one.database import outage
from admit_one.database.outage import NotNow
from admit_one.messaging import inbox
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.failure_policy import REQUEUE_AFTER
from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

TURN = 1.0
"""Seconds between two checks of the heartbeats, at most."""

NO_DATABASE = "the database is unavailable"

T = TypeVar("T")


class Holding:
    """Keeps one connection alive while its consumer works long, or waits."""

    def __init__(self, connection: Connection, stop: Stop) -> None:
        self._connection = connection
        self._stop = stop
        self._announcer = Announcer()

    def outlast_outage(self, step: Callable[[], T]) -> T:
        """Do `step`; if the database is unavailable, wait and repeat it.

        Raises the step's error if the database works, and `NotNow` if it stays unavailable.
        """
        done = outage.outlast(
            step, self._wait_for_database, works=inbox.database_works, at_most=REQUEUE_AFTER
        )
        self._announcer.over("database_back", "the database is back")
        return done

    def hold(self, seconds: float, why: str) -> None:
        """Wait for `seconds`, and keep the connection alive.

        Raises `NotNow` if the process was asked to stop before, or if the broker fails, too.
        """
        if self._stop:
            raise NotNow(why)
        pulse.trouble = why
        until = time.monotonic() + seconds
        while not self._stop and (left := until - time.monotonic()) > 0:
            try:
                broker.wait(self._connection, min(left, TURN), self._stop)
                self.stay_alive()
            except broker.BROKER_ERRORS as error:  # not a fault of the handler
                raise NotNow(f"{why}, and the broker is unavailable, too") from error

    def stay_alive(self) -> None:
        """Long work must not cost the connection: read and answer the broker's heartbeats."""
        pulse.beat()
        broker.arrived(self._connection)
        self._connection.heartbeat_check()

    def _wait_for_database(self, seconds: float, error: Exception) -> None:
        self._announcer.trouble(
            "database_unavailable",
            "the database is unavailable ({error}): waiting for it",
            error=type(error).__name__,
        )
        self.hold(seconds, NO_DATABASE)
