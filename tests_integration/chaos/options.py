"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChaosOptions:
    seconds: float
    seed: int
    rate: float = 50.0
    """Orders a second."""
    third_party_rate: float = 8.0
    """Messages a second that third parties publish."""
    changes: bool = True
    """Whether all that happens to a subscription after it was paid happens, too."""
    visits: float = 6.0
    """Redemptions a second by platforms."""
    acts: float = 2.0
    """Suspensions and replacements a second by an operator of the student side."""
    sales: float = 1.0
    """Sales a second that Stripe reports, each by several events."""
    erasures: float = 0.08
    """Commands a second that erase persons, three at most each."""
    recovery: float = 120.0
    """Seconds that the system has to recover after the last fault."""
    patience: float = 10.0
    """Seconds without work to do after which what is still missing counts as lost."""
    repair: bool = False
    """Whether the broker loses confirmed messages, so that both sides are reconciled at the end."""
