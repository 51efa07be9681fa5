"""The consumer process."""

from __future__ import annotations

import logging
from typing import Any

from ... import conf, health
from ...breaker import Breaker
from ...consumer import BatchConsumer
from ...loop import Stop
from ...process import describe, run_connected
from ...pulse import pulse
from ..service_command import ServiceCommand

logger = logging.getLogger(__name__)


class Command(ServiceCommand):
    help = (
        "Consume the events in this service's inbox queue, until SIGTERM or Ctrl-C. "
        "Several may run: each event is handled once all the same."
    )

    def handle(self, **_: Any) -> None:
        stop = Stop().on_signals()
        health.serve("consumer")
        handlers, breaker = conf.handlers(), Breaker()
        alike = "too many messages in a row fail with"
        pulse.checks.append(lambda: f"{alike} {breaker.cause}" if breaker.is_open else "")
        keys = ", ".join(event.type for event in handlers)
        logger.info("%s", describe("consumer", f"handles {keys}"))
        run_connected(
            "consumer",
            lambda connection, ready: BatchConsumer(connection, handlers, stop, breaker).run(ready),
            stop,
        )
        stop.done()
