"""What a run compares: only what is old enough that both sides must agree on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone


class WrongWindow(ValueError):
    """The window ends too late, or before it begins: the text has what was expected."""


class Window(NamedTuple):
    """What was paid from `since` until before `until`."""

    since: datetime
    until: datetime


def grace() -> timedelta:
    """How long a change may take to reach the other side."""
    return timedelta(seconds=settings.RECONCILE_AFTER)


def window(since: datetime | None, until: datetime | None) -> Window:
    """The window asked for; by default the last `RECONCILE_DAYS`. Raises `WrongWindow`."""
    latest = timezone.now() - grace()
    until = until or latest
    since = since or until - timedelta(days=settings.RECONCILE_DAYS)
    if until > latest:
        raise WrongWindow(f"expected a window that ends by {latest:%Y-%m-%d %H:%M:%S}Z at latest")
    if since >= until:
        raise WrongWindow(
            f"expected a window that begins before its end, {until:%Y-%m-%d %H:%M:%S}Z"
        )
    return Window(since, until)
