"""Which use case handles which event."""

from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessGrantTold,
)

from . import reconciliation, repairs, services

HANDLERS = {
    AccessCodeCreated: services.attach_access_codes,
    AccessCodeRevoked: services.confirm_revocations,
    AccessCodeUndeliverable: services.note_undeliverable_codes,
    AccessDigest: reconciliation.compare_pages,
    AccessGrantTold: repairs.take_over,
}
