"""Which use case handles which event."""

from shared_contracts.events import AccessCodeCreated, AccessCodeUndeliverable

from . import services

HANDLERS = {
    AccessCodeCreated: services.attach_access_codes,
    AccessCodeUndeliverable: services.note_undeliverable_codes,
}
