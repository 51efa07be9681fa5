"""The building blocks of a contract package. They need pydantic, but not Django.

A contract package has a module `topology` with a `TOPOLOGY`, which imports its events:

    class InvoicePaid(Event):           what is published, and by whom
        type = "invoice_paid"
        producer = "billing"
        about = "invoice_id"

        invoice_id: UUID

    TOPOLOGY = Topology(Service("billing"), Service("lms", handles=(InvoicePaid,)))

`python -m admit_one.contract write PACKAGE` writes its JSON Schemas and golden messages, `check`
compares them with the classes.

| Part | What it is |
|---|---|
| `event`, `registry` | the base class, and every class by its type |
| `fields` | types for fields: moments, amounts, addresses |
| `sealed` | fields that only one service can read |
| `envelope`, `strict_json` | an event on the wire: CloudEvents 1.0 in structured JSON |
| `topology` | who publishes and who handles |
| `versions` | which of two states counts, in whatever order they arrive |
| `errors` | everything that can go wrong with a message |
| `schemas`, `examples` | the files for other teams and languages |
"""

from .envelope import Envelope as Envelope
from .errors import Malformed as Malformed
from .errors import MessagingError as MessagingError
from .errors import Rejected as Rejected
from .errors import Transient as Transient
from .errors import UnknownEvent as UnknownEvent
from .event import Event as Event
from .topology import Service as Service
from .topology import Topology as Topology
