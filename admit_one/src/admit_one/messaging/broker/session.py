"""What relay and consumer share as processes: they stay connected until asked to stop."""

from __future__ import annotations

from collections.abc import Callable

from kombu import Connection

from admit_one.database import outage
from admit_one.database import session as database_session
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import conf, metrics, peers
from admit_one.processes import garbage, health_port
from admit_one.processes.announcer import STARTED, Announcer, description
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop
from admit_one.processes.unsafe_settings import warn_of_unsafe_settings
from admit_one.sealing import canaries, key_watch

from . import connection as broker
from . import topology

logger = EventLogger(__name__)

OUTAGES = (*broker.BROKER_ERRORS, *outage.DATABASE_ERRORS, outage.NotNow)

STEADY = 10.0
"""Seconds after which a connection counts as stable, so that its end begins a new outage.

Connections that break as soon as they are made are one long outage, not many.
"""

Work = Callable[[Connection, Callable[[], None]], None]
"""Works over one connection until asked to stop; calls its second argument once it is ready."""


def start(role: str, does: str) -> None:
    """Open the health port of a new process, which has imported everything; log what it is."""
    current = conf.current()
    name = current.service.name
    health_port.serve(name, role, address=current.HEALTH_ADDRESS, port=current.HEALTH_PORT)
    garbage.collect_rarely()
    described = description(f"{name} {role}", does, current.BROKER_URL)
    logger.info("process_started", STARTED, **described)
    warn_of_unsafe_settings()
    if missing := peers.missing_keys():
        logger.warning(
            "wire_keys_missing",
            "no key in {settings}: events go unsigned, and codes and addresses in clear",
            settings=", ".join(missing),
        )


def run_connected(role: str, work: Work, stop: Stop) -> None:
    """Run `work` over one connection after another, until asked to stop.

    It logs when the broker or the database is unavailable, and reconnects with growing pauses.
    Raises `TopologyDiffers` if the broker has something of our name with other arguments,
    `WrongKey` if our keys are not those of the database, and `UnfitSession` if its sessions lack
    what we need.
    """
    session = Session(role, work, stop)
    try:
        while not stop:
            outage.outlast(session.run, session.wait, outage_errors=OUTAGES, steady=STEADY)
    except Stopped as reason:
        logger.warning(
            "process_stops", "{process} stops: {reason}", process=session.process, reason=reason
        )


class Stopped(Exception):
    """Asked to stop during an outage."""


class Session:
    """One process's connections to the broker, one after the other."""

    def __init__(self, role: str, work: Work, stop: Stop) -> None:
        self.process = f"{conf.current().service.name} {role}"
        self._role = role
        self._work = work
        self._stop = stop
        self._announcer = Announcer()
        self._checked = False

    def run(self) -> None:
        """Connect and work. Raises one of `OUTAGES`."""
        if self._stop:
            return
        pulse.beat()
        self._check_database()
        with broker.connected(self._role) as connection:
            if conf.current().DECLARE_TOPOLOGY:
                topology.declare(connection, topology.ours())
            self._work(connection, self._ready)

    def wait(self, seconds: float, error: Exception) -> None:
        """Report the outage, and wait before the next connection. Raises `Stopped`."""
        reason = mask(str(error)) or type(error).__name__
        if self._stop:
            raise Stopped(reason) from error
        pulse.disconnected(f"it waits: {type(error).__name__}: {reason}")
        metrics.RECONNECTS.inc()
        self._announcer.trouble(
            "process_waits",
            "{process} waits: {error}: {reason}",
            process=self.process,
            error=type(error).__name__,
            reason=reason,
        )
        self._stop.wait(seconds)

    def _check_database(self) -> None:
        if not self._checked:
            database_session.check()
            canaries.check()
            key_watch.start(self.process)
            self._checked = True

    def _ready(self) -> None:
        pulse.connected()
        self._announcer.over("process_works_again", "{process} works again", process=self.process)
        logger.info("process_ready", "{process} ready", process=self.process)
