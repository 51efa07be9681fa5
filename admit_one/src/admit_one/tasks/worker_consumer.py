"""Celery's consumer, which waits longer after each failure and says why it is not connected.

Celery pauses only while it cannot connect. A broker that takes the connection and refuses the
queue, or is silent about it because the majority of its nodes is away, would be asked several times
a second, for as long as the reason lasts.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from celery.worker.state import maybe_shutdown

from admit_one.processes.stopping import next_delay

from . import runs
from .worker_pulse import disconnected

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two connections that fail as soon as they are made."""

STEADY = 10.0
"""Seconds after which a connection counts as one that held: pauses begin again with the first."""

LOOK_EVERY = 0.2
"""Seconds between two looks whether the worker was asked to stop."""


CELERYS: Any = Consumer.Blueprint

STEPS = [step for step in CELERYS.default_steps if not step.endswith(":DelayedDelivery")]
"""Celery's, but one: for tasks with an ETA, which ours have not, it would declare thirty queues, at
the broker that `broker_url` names."""


class PatientConsumer(Consumer):
    """Set as `worker_consumer`."""

    Blueprint: Any = type("Blueprint", (CELERYS,), {"default_steps": STEPS})
    _failures = 0
    _connected_at = float("-inf")

    def ensure_connected(self, conn: Any) -> Any:
        ensure = conn.ensure_connection

        def noting(_: Callable[..., Any], *args: Any, **options: Any) -> Any:
            # Instead of Celery's own, which logs each attempt at each node.
            return ensure(lambda error, _: disconnected(error), *args, **options)

        conn.ensure_connection = noting
        connected = super().ensure_connected(conn)
        self._connected_at = time.monotonic()
        return connected

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        with warnings.catch_warnings():
            # That it does not cancel tasks when it loses the broker: ours may run twice.
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)
        held = time.monotonic() - self._connected_at > STEADY
        self._failures = 1 if held else self._failures + 1
        disconnected(exc)
        if held:
            return
        until = time.monotonic() + next_delay(self._failures, first=FIRST_PAUSE, most=LONGEST_PAUSE)
        while (left := until - time.monotonic()) > 0:
            maybe_shutdown()
            runs.stopping.wait(min(left, LOOK_EVERY))


SAID_BY_US = ("%s (%r)", "Couldn't ack ", "Couldn't reject ")
"""How Celery's lines about a lost connection begin: `disconnected` says it once, and why. A wake-up
that could not be acknowledged comes again."""


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(SAID_BY_US)


for module in (Consumer.__module__, Request.__module__):
    logging.getLogger(module).addFilter(_is_news)
