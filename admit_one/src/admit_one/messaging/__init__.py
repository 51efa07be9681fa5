"""Events out of a service and into another: published with the change, handled once.

    from admit_one.messaging import publish

    with transaction.atomic():
        invoice.save()
        publish(InvoicePaid(invoice_id=invoice.id))

| Room | What it holds |
|---|---|
| `outbox`, `inbox` | what a use case touches: an event written down, an event handled once |
| `outgoing` | from the outbox to the broker: the relay |
| `incoming` | from the broker to the inbox: the consumer, and what it does about a failure |
| `set_aside` | what could not be handled: kept, retried, replayed, closed (dead letters) |
| `broker` | the broker itself: connections, topology, `broker_doctor` |
| `why` | what happened to one subject |
| `wake`, `retention`, `sealed`, `probe` | the fast path; pruning; sealed columns; is it us? |
| `models`, `conf`, `checks`, `metrics` | tables, settings, system checks, metrics |
| `testing` | publish and deliver without a broker, for a service's own tests |

The names below are all that a service needs. They are loaded when they are first used: Django
forbids models before its apps are ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from admit_one.contract import Envelope, Rejected, Transient

    from .outbox import publish
    from .wake import task as wake_task
    from .why.timeline import Report, Step, Wait, clock

__all__ = [
    "Envelope",
    "Rejected",
    "Report",
    "Step",
    "Transient",
    "Wait",
    "clock",
    "publish",
    "wake_task",
]

_HOMES = {
    "Envelope": ("admit_one.contract", "Envelope"),
    "Rejected": ("admit_one.contract", "Rejected"),
    "Transient": ("admit_one.contract", "Transient"),
    "Report": ("admit_one.messaging.why.timeline", "Report"),
    "Step": ("admit_one.messaging.why.timeline", "Step"),
    "Wait": ("admit_one.messaging.why.timeline", "Wait"),
    "clock": ("admit_one.messaging.why.timeline", "clock"),
    "publish": ("admit_one.messaging.outbox", "publish"),
    "wake_task": ("admit_one.messaging.wake", "task"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _HOMES[name]
    return getattr(import_module(module), there)
