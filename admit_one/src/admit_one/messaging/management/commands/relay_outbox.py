"""The relay process."""

from __future__ import annotations

from typing import Any

from admit_one.messaging import conf
from admit_one.messaging.broker.session import run_connected, start
from admit_one.messaging.outgoing.one_on_sqlite import only_one_on_sqlite
from admit_one.messaging.outgoing.relay import Relay
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop


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
        with only_one_on_sqlite("relay", stop):
            run_connected(
                "relay", lambda connection, ready: relay.run(connection, stop, ready), stop
            )
        stop.done()
