"""The embedded broker: a Kombu transport over one SQLite file.

It delivers at least once, on one machine, and survives `kill -9`. For the features that this
project uses, one conformance suite tests it and RabbitMQ. It does not replace RabbitMQ: priorities,
streams, alternate exchanges and bindings between exchanges are refused by name, and Celery offers
its gossip and mingle to no broker of this kind.

Importing this package makes `sqlite:////absolute/path` a broker URL for kombu and for Celery.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

from .transport import Transport

__all__ = ["Transport"]

TRANSPORT_ALIASES["sqlite"] = "admit_one.embedded_broker:Transport"
