"""The window of a run: only what is old enough that both sides must agree on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone


class WrongWindow(ValueError):
    """The window ends too late, or before it begins."""


class Window(NamedTuple):
    since: datetime
    until: datetime


def grace() -> timedelta:
    """How long a change may take to reach the other side."""
    return timedelta(seconds=settings.RECONCILE_AFTER)


def before(moment: datetime) -> datetime:
    """`grace` before `moment`: what happened by then must have reached both sides."""
    try:
        return moment - grace()
    except OverflowError:  # a third party may send the earliest time there is
        return moment


def window(since: datetime | None, until: datetime | None) -> Window:
    """The window, by default the last `RECONCILE_DAYS`. Raises `WrongWindow`."""
    latest = timezone.now() - grace()
    until = until or latest
    since = since or _default_start(until)
    if until > latest:
        raise WrongWindow(
            f"expected a window that ends by {latest:%Y-%m-%d %H:%M:%S}Z at the latest"
        )
    if since >= until:
        raise WrongWindow(
            f"expected a window that begins before its end, {until:%Y-%m-%d %H:%M:%S}Z"
        )
    return Window(since, until)


def _default_start(until: datetime) -> datetime:
    try:
        return until - timedelta(days=settings.RECONCILE_DAYS)
    except OverflowError:
        raise WrongWindow(
            f"expected the start of the window too, as {settings.RECONCILE_DAYS} days before "
            f"{until.date().isoformat()} lie before the year 1"
        ) from None
