"""What the machinery calls in this service, on one screen (see `admit_one.wiring`)."""

from admit_one.sealing import Keyring, Sealed
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessGrantReported,
)

from . import metrics, services, tasks, timeline
from .models import CODE_PURPOSE, Subscription
from .reconciliation import grants, pages

HANDLERS = {
    AccessCodeCreated: services.attach_access_codes,
    AccessCodeRevoked: services.confirm_revocations,
    AccessCodeUndeliverable: services.note_undeliverable_codes,
    AccessDigest: pages.compare_pages,
    AccessGrantReported: grants.accept_grants,
}
"""Which use case handles which event."""

KEYRING = Keyring(sealed=(Sealed(Subscription, "access_code", CODE_PURPOSE),))
"""The sealed columns that `manage.py rotate_keys` seals again."""

TIMELINE = timeline.report
"""What `manage.py why` reports of a subscription."""

METRICS = (metrics.open_subscriptions, metrics.drift)
"""What Prometheus reads of our rows."""

SCHEDULE = {tasks.request_again: 60, tasks.reconcile: 60}
"""Seconds between two runs of each task."""
