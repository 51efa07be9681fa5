"""When to look at a subscription again."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from .models import Subscription

SOONEST, LATEST = 1, 60
"""Seconds. A code usually arrives within a tenth of one, and `Retry-After` counts whole ones."""

SHARE = 10
"""The pause is this part of the time that the subscription has waited: a long outage, few polls."""


def retry_after(subscription: Subscription) -> dict[str, str]:
    """The header `Retry-After` while it waits for the student side; else none."""
    since = _waits_since(subscription)
    return {} if since is None else pause_since(since)


def pause_since(since: datetime) -> dict[str, str]:
    """The same for what has waited since then."""
    waited = (timezone.now() - since).total_seconds()
    return {"Retry-After": str(min(max(SOONEST, int(waited) // SHARE), LATEST))}


def _waits_since(subscription: Subscription) -> datetime | None:
    if subscription.cancelled_at is not None:
        return subscription.cancelled_at if subscription.code_revoked_at is None else None
    if subscription.access_code is None:
        return subscription.created_at
    if subscription.terms_applied < subscription.terms_version:
        return subscription.updated_at
    return None if subscription.resend_is_answered else subscription.resend_requested_at
