"""How an attempt to send a webhook ended. Who only records that needs no HTTP client."""

from __future__ import annotations

from typing import NamedTuple

GONE = 410
"""The status by which an endpoint says that it wants no more."""


class Outcome(NamedTuple):
    """How an attempt ended."""

    status: int | None
    """Of the answer; none without one."""
    error: str = ""
    """Why it failed, for people; empty if it did not. Nothing of the answer's text."""
    retry_after: int = 0
    """Seconds that the endpoint asked for."""
    is_ours: bool = False
    """Whether it failed before anything was sent, for which the endpoint is not to blame."""

    @property
    def is_success(self) -> bool:
        return not self.error

    @property
    def is_theirs(self) -> bool:
        """Whether it is a failure of the endpoint."""
        return bool(self.error) and not self.is_ours
