"""The embedded broker: a Kombu transport over one SQLite file.

At least once, on one machine, surviving `kill -9`: the same promise as RabbitMQ for what this
project uses of it, proved by one conformance suite for both; not a replacement for RabbitMQ.

Importing this package makes `sqlite:////absolute/path` a broker URL for kombu and for Celery.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

from .transport import Transport

__all__ = ["Transport"]

TRANSPORT_ALIASES["sqlite"] = "admit_one.embedded_broker:Transport"
