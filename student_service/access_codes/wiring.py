"""What `admit_one` calls in this service (see `admit_one.wiring`)."""

from admit_one.sealing import Keyring, Sealed

from shared_contracts import events

from . import codes, metrics, resending, services, tasks, terms, timeline
from .mails import mailboxes
from .models import (
    CODE_PURPOSE,
    CORRECTED_PURPOSE,
    RECIPIENT_PURPOSE,
    AccessCode,
    MailIntent,
    Resend,
)
from .reconciliation import digests, grants, restoring

HANDLERS = {
    events.UserSubscribed: services.issue_access_codes,
    events.SubscriptionCancelled: services.revoke_access_codes,
    events.AccessTermsChanged: terms.apply_terms,
    events.AccessCodeResendRequested: resending.resend_codes,
    events.AccessChecksumRequested: digests.report_checksums,
    events.AccessDigestRequested: digests.report_digests,
    events.AccessGrantsRequested: grants.queue,
    events.AccessCodeRestored: restoring.restore_codes,
}
"""The use case that handles each event."""

KEYRING = Keyring(
    sealed=(
        Sealed(
            AccessCode,
            "sealed_code",
            CODE_PURPOSE,
            hashes={"lookup_hash": codes.lookup, "lookup_hash_next": codes.lookup_next},
        ),
        # No second column: it does no harm if the daily cap starts from zero once.
        Sealed(
            MailIntent,
            "recipient",
            RECIPIENT_PURPOSE,
            hashes={"recipient_hash": mailboxes.mailbox_hash},
        ),
        Sealed(Resend, "recipient", CORRECTED_PURPOSE),
    ),
    lookup="CODE_LOOKUP_KEY",
)
"""The sealed columns and keyed hashes that `manage.py rotate_keys` renews."""

ON_DEAD = services.report_failure
"""What happens when a message becomes dead."""

TIMELINE = timeline.of
"""What `manage.py why` reports about a code and its mails."""

METRICS = (metrics.open_mails, metrics.waiting_grants)
"""Gauges computed from our rows."""

SCHEDULE = {
    tasks.send_pending_mails: 10,
    tasks.report_grants: 10,
    tasks.remind_expiring: 60,
    tasks.report_ended: 60,
    tasks.send_webhooks: 10,
    tasks.forget_runs: 3_600,
}
"""Seconds between runs of each task."""
