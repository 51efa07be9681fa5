"""Which use case handles which event."""

from shared_contracts.events import AccessCodeCreated

from . import services

HANDLERS = {AccessCodeCreated: services.attach_access_codes}
