"""Carries events from one service to another: published with the change, handled once.

    from admit_one.messaging import publish

    with transaction.atomic():
        invoice.save()
        publish(InvoicePaid(invoice_id=invoice.id))

| Part | What it holds |
|---|---|
| `outbox`, `inbox` | the ends that a use case sees: publishing an event, handling an event once |
| `received`, `outcomes`, `repetitions` | a message as it arrived, and what becomes of it |
| `outgoing` | from the outbox to the broker: the relay |
| `incoming` | from the broker to the inbox: the consumer, and what it does about a failure |
| `set_aside` | messages that could not be handled: kept, retried, replayed, closed (dead letters) |
| `broker` | the broker itself: connections, topology, `broker_doctor` |
| `why` | what happened to one subject |
| `wake`, `retention` | the fast path; pruning |
| `models`, `conf`, `checks`, `metrics` | tables, settings, system checks, metrics |
| `testing` | publish and deliver without a broker, for a service's own tests |

The names below are all that a service needs. They are imported on first use, because Django
forbids importing models before its apps are ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from admit_one.front_page import lazily

if TYPE_CHECKING:
    from admit_one.contract import Envelope as Envelope
    from admit_one.contract import Rejected as Rejected
    from admit_one.contract import Transient as Transient

    from . import wake as wake
    from .models import OutboxMessage as OutboxMessage
    from .outbox import publish as publish
    from .why.timeline import Step as Step
    from .why.timeline import Wait as Wait
    from .why.timeline import clock as clock

__getattr__ = lazily(
    __name__,
    {
        "admit_one.contract": ["Envelope", "Rejected", "Transient"],
        ".models": ["OutboxMessage"],
        ".outbox": ["publish"],
        ".why.timeline": ["Step", "Wait", "clock"],
    },
)
