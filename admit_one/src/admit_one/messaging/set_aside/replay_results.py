"""What an operator orders about a set-aside message, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from admit_one.messaging.inbox import Result

from . import error_record


@dataclass(frozen=True)
class ReplayOrder:
    """Who orders a replay, and why. `again` also applies messages that were handled.

    Such an order applies each message once: repeated after it was stopped, it continues.
    """

    by: str
    reason: str = ""
    again: bool = False


class ReplayVerdict(StrEnum):
    """The result of a replay, or of a rehearsal."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """It was handled before, so it is only closed."""
    UNREADABLE = "unreadable"
    NO_HANDLER = "no handler"
    CONTRADICTS = "contradicts"
    """Its id was handled with another body."""
    REFUSED = "refused"
    """Nothing proves who sent it."""
    REJECTED = "rejected"
    """The use case refuses it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not tried: it is closed, or so old that a second effect cannot be ruled out."""


VERDICTS = {
    Result.HANDLED: ReplayVerdict.APPLIED,
    Result.DUPLICATE: ReplayVerdict.DUPLICATE,
    Result.UNKNOWN: ReplayVerdict.NO_HANDLER,
    Result.MALFORMED: ReplayVerdict.UNREADABLE,
    Result.REFUSED: ReplayVerdict.REFUSED,
    Result.REJECTED: ReplayVerdict.REJECTED,
}
CLOSES = {ReplayVerdict.APPLIED, ReplayVerdict.DUPLICATE}


@dataclass(frozen=True)
class ReplayResult:
    """The result of one replay; `reason` and `fingerprint` are why it was not applied."""

    id: int
    verdict: ReplayVerdict
    reason: str = ""
    fingerprint: str = ""

    @property
    def closes(self) -> bool:
        """Whether this closes the row."""
        return self.verdict in CLOSES

    @property
    def failed(self) -> bool:
        """Whether it was tried and not applied."""
        return not self.closes and self.verdict is not ReplayVerdict.SKIPPED

    @classmethod
    def of_error(cls, row_id: int, verdict: ReplayVerdict, error: BaseException) -> ReplayResult:
        """Its reason and fingerprint are those of the error."""
        reason = error_record.reason_of(error)
        return cls(row_id, verdict, reason, error_record.fingerprint_of(error))
