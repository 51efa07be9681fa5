"""What `admit_one` calls in this service (see `admit_one.wiring`)."""

from admit_one.erasure import requests
from admit_one.erasure.definition import Eraser, Erasure
from admit_one.sealing import Keyring, Sealed
from admit_one.webhooks import erasing as webhooks

from shared_contracts import events

from . import access_reports, metrics, persons, resends, services, tasks, timeline
from .models import CODE_PURPOSE, Subscription
from .reconciliation import checksums, comparison, grants

HANDLERS = {
    events.AccessCodeCreated: services.attach_access_codes,
    events.AccessCodeReplaced: access_reports.attach_replaced_codes,
    events.AccessCodeRedeemed: access_reports.note_redemptions,
    events.AccessTermsApplied: access_reports.confirm_terms,
    events.AccessSuspensionChanged: access_reports.note_suspensions,
    events.AccessCodeEmailed: access_reports.note_mails,
    events.AccessCodeExpiringSoon: access_reports.note_expiries,
    events.AccessCodeFailed: access_reports.note_failures,
    events.AccessCodeResendAnswered: resends.note_answers,
    events.AccessCodeRevoked: services.confirm_revocations,
    events.AccessCodeUndeliverable: services.note_undeliverable_codes,
    events.AccessChecksum: checksums.compare_checksums,
    events.AccessDigest: comparison.compare_pages,
    events.AccessGrantReported: grants.accept_grants,
    events.AccessGrantsDelayed: grants.note_delays,
    events.AccessErasureRequested: requests.accept,
    events.AccessErased: requests.note_answers,
}
"""The use case that handles each event."""

KEYRING = Keyring(sealed=(Sealed(Subscription, "access_code", CODE_PURPOSE),))
"""The sealed columns that `manage.py rotate_keys` reseals."""

ERASURE = Erasure(
    find=persons.find,
    active=persons.active,
    request=persons.request,
    answer=persons.answer,
    clients=True,
    belonging=persons.orders_of,
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
"""What `manage.py why` reports about a subscription."""

METRICS = (metrics.open_subscriptions, metrics.drift)
"""Gauges computed from our rows."""

SCHEDULE = {
    tasks.erase_requested: 60,
    tasks.request_erasures_again: 60,
    tasks.request_again: 60,
    tasks.resend_again: 60,
    tasks.suspend_overdue: 60,
    tasks.report_ended: 60,
    tasks.send_webhooks: 10,
    tasks.reconcile: 60,
}
"""Seconds between runs of each task."""
