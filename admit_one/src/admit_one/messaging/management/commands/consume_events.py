"""The consumer process."""

from __future__ import annotations

from typing import Any

from admit_one.messaging import conf
from admit_one.messaging.broker.session import run_connected, start
from admit_one.messaging.incoming.breaker import Breaker
from admit_one.messaging.incoming.consumer import BatchConsumer
from admit_one.processes.pulse import pulse
from admit_one.processes.service_command import ServiceCommand
from admit_one.processes.stopping import Stop


class Command(ServiceCommand):
    help = (
        "Consume the events in this service's inbox queue, until SIGTERM or Ctrl-C. "
        "Several may run: each event is still handled once."
    )

    def handle(self, **_: Any) -> None:
        stop = Stop().on_signals()
        handlers, breaker = conf.handlers(), Breaker()
        pulse.checks.append(lambda: breaker.why_open if breaker.is_open else "")
        keys = ", ".join(event.type for event in handlers)
        start("consumer", f"handles {keys}")
        run_connected(
            "consumer",
            lambda connection, ready: BatchConsumer(connection, handlers, stop, breaker).run(ready),
            stop,
        )
        stop.done()
