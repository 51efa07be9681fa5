"""The options of a run, and its result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .verdict.checker import Verdict


@dataclass(frozen=True)
class ChaosOptions:
    seconds: float
    seed: int
    rate: float = 50.0
    """Orders a second."""
    third_party_rate: float = 8.0
    """Messages a second that third parties publish."""
    changes: bool = True
    """Whether clients renew, refund and cancel subscriptions, too."""
    recovery: float = 120.0
    """Seconds that the system has to recover after the last fault."""
    patience: float = 10.0
    """Seconds without work to do after which what is still missing counts as lost."""
    repair: bool = False
    """Whether the broker loses confirmed messages, so that both sides are reconciled at the end."""


@dataclass
class ChaosResult:
    options: ChaosOptions
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    cancelled: int = 0
    requests: int = 0
    published: Counter[str] = field(default_factory=Counter)
    """Messages of third parties, by kind."""
    mails: int = 0
    restarts: int = 0
    recovered_after: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    mails_in_doubt: int = 0
    reconciled: list[str] = field(default_factory=list)
    """What `reconcile --repair` printed."""
    problems: list[str] = field(default_factory=list)
    """Findings about processes: not recovered, exited unexpectedly, or grown."""

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and not self.problems

    def findings(self) -> list[str]:
        return [*self.problems, *self.verdict.findings()]


Progress = Callable[[float, ChaosResult, Sequence[str]], None]
"""Shows progress: seconds since the load began, the counts so far, and the active faults."""
