"""What relay and consumer have in common as processes: they stay connected until asked to stop."""

from __future__ import annotations

from collections.abc import Callable

from kombu import Connection

from admit_one.database import outage
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.messaging import conf, metrics
from admit_one.processes import health_port
from admit_one.processes.announcer import Announcer
from admit_one.processes.description import STARTED, description
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop
from admit_one.sealing import canaries

from . import connection as broker
from . import topology
from .declaring import declare

logger = EventLogger(__name__)

OUTAGES = (*broker.BROKER_ERRORS, *outage.DATABASE_ERRORS, outage.LetGo)

STEADY = 10.0
"""Seconds after which a connection counts as one that held: a new outage begins when it breaks.

One that breaks as soon as it is made is one long outage, not many.
"""

Work = Callable[[Connection, Callable[[], None]], None]
"""Works over one connection until stop, and calls its second argument once it is ready."""


def start(role: str, does: str) -> None:
    """Open the health port of a new process, and log what it is."""
    current = conf.current()
    name = current.service.name
    health_port.serve(name, role, address=current.HEALTH_ADDRESS, port=current.HEALTH_PORT)
    described = description(f"{name} {role}", does, current.BROKER_URL)
    logger.info("process_started", STARTED, **described)


def run_connected(role: str, work: Work, stop: Stop) -> None:
    """Run `work`, again and again over new connections, until asked to stop.

    A broker or database that is away is logged once and tried again with growing pauses.
    Raises `TopologyDiffers`: the broker holds something of another kind by our name; and
    `WrongKey`: our keys are not those of the database.
    """
    session = Session(role, work, stop)
    try:
        while not stop:
            outage.outlast(session.run, session.wait, away=OUTAGES, steady=STEADY)
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
        self._keys_checked = False

    def run(self) -> None:
        """Connect and work. Raises one of `OUTAGES`."""
        if self._stop:
            return
        pulse.beat()
        connection = None
        try:
            self._check_keys()
            connection = broker.connect(self._role)
            self._declare(connection)
            self._work(connection, self._ready)
            broker.close(connection)
        except OUTAGES:
            broker.drop(connection)
            raise

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

    def _check_keys(self) -> None:
        if not self._keys_checked:
            canaries.check()
            self._keys_checked = True

    def _declare(self, connection: Connection) -> None:
        if conf.current().DECLARE_TOPOLOGY:
            declare(connection, topology.ours())

    def _ready(self) -> None:
        pulse.connected()
        self._announcer.over("process_works_again", "{process} works again", process=self.process)
        logger.info("process_ready", "{process} ready", process=self.process)
