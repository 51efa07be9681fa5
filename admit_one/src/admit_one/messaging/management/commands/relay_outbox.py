"""The relay process."""

from __future__ import annotations

import logging
from typing import Any

from admit_one.messaging import conf
from admit_one.messaging.broker.session import describe, only_one_on_sqlite, run_connected
from admit_one.messaging.outgoing.relay import Relay
from admit_one.processes import health_port
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop

logger = logging.getLogger(__name__)


class Command(ServiceCommand):
    help = (
        "Carry the events of this service's outbox to the broker, until SIGTERM or Ctrl-C. "
        "Several may run: on PostgreSQL they share the rows, on SQLite one works and others wait."
    )

    def handle(self, **_: Any) -> None:
        stop = Stop().on_signals()
        health_port.serve("relay")
        keys = ", ".join(event.type for event in conf.current().service.publishes)
        logger.info("%s", describe("relay", f"publishes {keys}"))
        relay = Relay()
        with only_one_on_sqlite("relay", stop):
            run_connected(
                "relay", lambda connection, ready: relay.run(connection, stop, ready), stop
            )
        stop.done()
