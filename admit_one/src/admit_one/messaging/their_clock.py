"""Times and versions that another service reports, by its own clock.

Believed as it is, a time in the far future would count as later than everything that happens
until then: whatever looks for what is old enough, or for the latest, would be wrong about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.utils import timezone

from admit_one.contract import Envelope
from admit_one.contract.errors import Rejected
from admit_one.contract.versions import next_version

Versioned = TypeVar("Versioned", bound=Any)
"""An event with a `version`."""

VERSIONS_AHEAD = timedelta(days=1)
"""By so much a version may be ahead of us: one that was made by a wrong clock, or in someone else's
name, hides the later ones for no longer."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""By so much another's clock may be fast."""


def sift(
    messages: Sequence[Envelope[Versioned]],
) -> tuple[list[Envelope[Versioned]], list[Rejected]]:
    """The messages whose version can be true, and the others, which would hide all later ones."""
    highest = next_version(0, timezone.now() + VERSIONS_AHEAD)
    possible = [message for message in messages if message.data.version <= highest]
    reason = "its version lies more than a day ahead: a clock is wrong, or it is forged"
    far = (message for message in messages if message.data.version > highest)
    return possible, [Rejected(message, reason) for message in far]


def believed(moment: datetime, *, ahead: timedelta = timedelta(0)) -> datetime:
    """`moment`, or the latest that it can be: now, and what lies `ahead` of it by its meaning."""
    return min(moment, timezone.now() + ahead + CLOCKS_DIFFER)
