"""What a contract package is made of. It needs pydantic and nothing of Django.

A contract package has a module `topology` with a `TOPOLOGY`, which imports its events:

    class InvoicePaid(Event):           what is published, and by whom
        type = "invoice_paid"
        producer = "billing"
        about = "invoice_id"

        invoice_id: UUID

    TOPOLOGY = Topology(Service("billing"), Service("lms", handles=(InvoicePaid,)))

`python -m admit_one.contract write PACKAGE` writes its JSON Schemas and golden messages, `check`
compares them with the classes.

| Room | What it is |
|---|---|
| `event`, `registry` | the base class, and every class by its type |
| `fields` | the types that fields have: moments, amounts, addresses |
| `envelope`, `strict_json` | an event on the wire: CloudEvents 1.0 in structured JSON |
| `topology` | who publishes and who handles |
| `errors` | everything that can go wrong with a message |
| `schemas`, `examples` | the files for other teams and languages |
"""

from .envelope import Envelope
from .errors import Malformed, MessagingError, Rejected, Transient, UnknownEvent
from .event import Event
from .topology import Service, Topology

__all__ = [
    "Envelope",
    "Event",
    "Malformed",
    "MessagingError",
    "Rejected",
    "Service",
    "Topology",
    "Transient",
    "UnknownEvent",
]
