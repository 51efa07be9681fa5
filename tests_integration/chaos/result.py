"""The result of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .options import ChaosOptions
from .verdict.findings import Verdict


@dataclass
class ChaosResult:
    options: ChaosOptions
    faults: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    cancelled: int = 0
    redeemed: int = 0
    replaced: int = 0
    sales: int = 0
    """Of Stripe's."""
    forged: int = 0
    """Events that others forged, and that were refused."""
    webhooks: int = 0
    """Those that came, also those that were not accepted."""
    erased: int = 0
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
