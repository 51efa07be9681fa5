"""Times that another service reports, by its own clock.

Believed as it is, a time in the far future would count as later than everything that happens
until then: whatever looks for what is old enough, or for the latest, would be wrong about it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

CLOCKS_DIFFER = timedelta(minutes=5)
"""By so much another's clock may be fast."""


def believed(moment: datetime, *, ahead: timedelta = timedelta(0)) -> datetime:
    """`moment`, or the latest that it can be: now, and what lies `ahead` of it by its meaning."""
    return min(moment, timezone.now() + ahead + CLOCKS_DIFFER)
