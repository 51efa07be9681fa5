"""Which use case handles which event."""

from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessGrantReported,
)

from . import services
from .reconciliation import repairs, runs

HANDLERS = {
    AccessCodeCreated: services.attach_access_codes,
    AccessCodeRevoked: services.confirm_revocations,
    AccessCodeUndeliverable: services.note_undeliverable_codes,
    AccessDigest: runs.compare_pages,
    AccessGrantReported: repairs.take_over,
}
