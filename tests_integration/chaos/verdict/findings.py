"""What the checker finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

SHOWN_AT_MOST = 20


@dataclass
class Verdict:
    """The findings by kind; a clean run has none."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    """Secrets, codes and addresses where none may stand."""
    duplicate_mails: int = 0
    """Mails that arrived more than once."""
    lost_by_broker: int = 0
    """Events that the broker confirmed and then lost, in a run in which it may."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unaccounted or self.leaked)

    def findings(self) -> Iterator[str]:
        """At most `SHOWN_AT_MOST` of each kind."""
        for kind in ("lost", "doubled", "unaccounted", "leaked"):
            findings: list[str] = getattr(self, kind)
            yield from (f"{kind}: {what}" for what in findings[:SHOWN_AT_MOST])
            if len(findings) > SHOWN_AT_MOST:
                yield f"{kind}: … and {len(findings) - SHOWN_AT_MOST:,} more"
