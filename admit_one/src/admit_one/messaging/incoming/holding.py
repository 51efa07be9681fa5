"""Waiting with messages in hand: the connection to the broker is kept alive meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kombu import Connection

from admit_one.database import outage
from admit_one.database.outage import LetGo
from admit_one.messaging import probe
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.failure_policy import LET_GO_AFTER
from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

TURN = 1.0
"""Seconds between two looks at heartbeats, at most."""

NO_DATABASE = "the database is away"

T = TypeVar("T")


class Holding:
    """Keeps one connection alive while its consumer works long, or waits."""

    def __init__(self, connection: Connection, stop: Stop) -> None:
        self._connection = connection
        self._stop = stop
        self._announcer = Announcer()

    def outlast_outage(self, step: Callable[[], T]) -> T:
        """Do `step`, as soon as the database is back if it is away.

        Raises its error if the database works, and `LetGo` if it stays away.
        """
        done = outage.outlast(
            step, self._wait_for_database, works=probe.database_works, at_most=LET_GO_AFTER
        )
        self._announcer.over("database_back", "the database is back")
        return done

    def hold(self, seconds: float, why: str) -> None:
        """Keep the connection alive for so long.

        Raises `LetGo` if the process was asked to stop before, or when the broker leaves, too.
        """
        if self._stop:
            raise LetGo(why)
        pulse.trouble = why
        until = time.monotonic() + seconds
        while not self._stop and (left := until - time.monotonic()) > 0:
            try:
                broker.wait(self._connection, min(left, TURN), self._stop)
                self.stay_alive()
            except broker.BROKER_ERRORS as error:  # not to be taken for a fault of the handler
                raise LetGo(f"{why}, and the broker is away, too") from error

    def stay_alive(self) -> None:
        """Long work must not cost the connection: read and answer the broker's heartbeats."""
        pulse.beat()
        broker.arrived(self._connection)
        self._connection.heartbeat_check()

    def _wait_for_database(self, seconds: float, error: Exception) -> None:
        self._announcer.trouble(
            "database_away",
            "the database is away ({error}): waiting for it",
            error=type(error).__name__,
        )
        self.hold(seconds, NO_DATABASE)
