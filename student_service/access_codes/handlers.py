"""Which use case handles which event."""

from shared_contracts.events import UserSubscribed

from . import services

HANDLERS = {UserSubscribed: services.issue_access_codes}
