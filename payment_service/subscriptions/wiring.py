"""What `admit_one` calls in this service (see `admit_one.wiring`)."""

from admit_one.sealing import Keyring, Sealed

from shared_contracts import events

from . import access_reports, metrics, resends, services, tasks, timeline
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
}
"""The use case that handles each event."""

KEYRING = Keyring(sealed=(Sealed(Subscription, "access_code", CODE_PURPOSE),))
"""The sealed columns that `manage.py rotate_keys` reseals."""

TIMELINE = timeline.of
"""What `manage.py why` reports about a subscription."""

METRICS = (metrics.open_subscriptions, metrics.drift)
"""Gauges computed from our rows."""

SCHEDULE = {
    tasks.request_again: 60,
    tasks.resend_again: 60,
    tasks.suspend_overdue: 60,
    tasks.report_ended: 60,
    tasks.send_webhooks: 10,
    tasks.reconcile: 60,
}
"""Seconds between runs of each task."""
