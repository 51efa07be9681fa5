"""What the machinery calls in this service, on one screen (see `admit_one.wiring`)."""

from admit_one.sealing import Keyring, Sealed
from shared_contracts.events import (
    AccessCodeRestored,
    AccessDigestRequested,
    AccessGrantsRequested,
    SubscriptionCancelled,
    UserSubscribed,
)

from . import codes, metrics, services, tasks, timeline
from .mails import writing
from .models import CODE_PURPOSE, RECIPIENT_PURPOSE, AccessCode, MailIntent
from .reconciliation import digests, grants, restoring

HANDLERS = {
    UserSubscribed: services.issue_access_codes,
    SubscriptionCancelled: services.revoke_access_codes,
    AccessDigestRequested: digests.report_digests,
    AccessGrantsRequested: grants.report_grants,
    AccessCodeRestored: restoring.restore_codes,
}
"""Which use case handles which event."""

KEYRING = Keyring(
    sealed=(
        Sealed(
            AccessCode,
            "sealed_code",
            CODE_PURPOSE,
            hashes={"lookup_hash": codes.lookup, "lookup_hash_next": codes.lookup_next},
        ),
        # No second column: it does no harm that the daily cap counts from zero once.
        Sealed(
            MailIntent,
            "recipient",
            RECIPIENT_PURPOSE,
            hashes={"recipient_hash": writing.recipient_hash},
        ),
    ),
    lookup="CODE_LOOKUP_KEY",
)
"""The sealed columns and keyed hashes that `manage.py rotate_keys` makes again."""

TIMELINE = timeline.report
"""What `manage.py why` reports of a code and its mails."""

METRICS = (metrics.open_mails,)
"""What Prometheus reads of our rows."""

SCHEDULE = {tasks.send_pending_mails: 10}
"""Seconds between two runs of each task."""
