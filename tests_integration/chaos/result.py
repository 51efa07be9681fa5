"""What a run is asked for, and what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .verdict.checker import Verdict


@dataclass(frozen=True)
class Options:
    """How long, how hard, and how much patience."""

    seconds: float
    seed: int
    rate: float = 50.0
    """Orders a second."""
    third_party_rate: float = 8.0
    """Messages that third parties publish a second."""
    recovery: float = 120.0
    """Seconds that the system has to recover, once all faults have ended."""
    patience: float = 10.0
    """Seconds of quiet after which what is still missing is lost."""
    repair: bool = False
    """Whether the broker may lose what it had confirmed; then both sides are reconciled."""


@dataclass
class Result:
    """All that a run's table shows."""

    options: Options
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    cancelled: int = 0
    requests: int = 0
    published: Counter[str] = field(default_factory=Counter)
    """What third parties published, by kind."""
    mails: int = 0
    restarts: int = 0
    recovered_after: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    mails_in_doubt: int = 0
    repaired: list[str] = field(default_factory=list)
    """What `reconcile --repair` printed."""
    trouble: list[str] = field(default_factory=list)
    """Processes that are not back, or grew."""

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and not self.trouble

    def findings(self) -> list[str]:
        """All that is wrong, in words."""
        return [*self.trouble, *self.verdict.findings()]


Progress = Callable[[float, Result, Sequence[str]], None]
"""Shows how far it is: seconds since the load began, the counts so far, the faults that last."""
