"""Which use case handles which event."""

from shared_contracts.events import (
    AccessCodeRestored,
    AccessDigestRequested,
    AccessGrantsRequested,
    SubscriptionCancelled,
    UserSubscribed,
)

from . import reconciliation, services

HANDLERS = {
    UserSubscribed: services.issue_access_codes,
    SubscriptionCancelled: services.revoke_access_codes,
    AccessDigestRequested: reconciliation.tell_digests,
    AccessGrantsRequested: reconciliation.tell_grants,
    AccessCodeRestored: reconciliation.restore_codes,
}
