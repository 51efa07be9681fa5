"""What `admit_one` calls in this service (see `admit_one.wiring`)."""

from admit_one.erasure import requests
from admit_one.erasure.definition import Eraser, Erasure
from admit_one.sealing import Keyring, Sealed
from admit_one.webhooks import erasing as webhooks

from shared_contracts import events

from . import codes, metrics, persons, resending, services, tasks, terms, timeline
from .mails import mailboxes
from .models import (
    CODE_PURPOSE,
    CORRECTED_PURPOSE,
    RECIPIENT_PURPOSE,
    USER_PURPOSE,
    AccessCode,
    MailIntent,
    Resend,
    user_hash,
    user_hash_next,
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
    events.SubscriptionErasureRequested: requests.accept,
    events.SubscriptionErased: requests.note_answers,
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
        Sealed(
            AccessCode,
            "sealed_user_id",
            USER_PURPOSE,
            hashes={"user_hash": user_hash, "user_hash_next": user_hash_next},
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

ERASURE = Erasure(
    find=persons.find, active=persons.active, request=persons.request, answer=persons.answer
)
"""How a person is found, and how erasures are reported."""

ERASERS = (
    Eraser(persons.rows, persons.erase),
    Eraser(webhooks.rows, webhooks.erase),
)
"""What is kept about subscriptions, part by part, and how it is erased."""

ON_ERASED = requests.remind
"""What happens when a message about an erased subscription was passed by."""

TIMELINE = timeline.of
"""What `manage.py why` reports about a code and its mails."""

METRICS = (metrics.open_mails, metrics.waiting_grants)
"""Gauges computed from our rows."""

SCHEDULE = {
    tasks.erase_requested: 60,
    tasks.request_erasures_again: 60,
    tasks.send_pending_mails: 10,
    tasks.report_grants: 10,
    tasks.remind_expiring: 60,
    tasks.report_ended: 60,
    tasks.send_webhooks: 10,
    tasks.forget_runs: 3_600,
}
"""Seconds between runs of each task."""
