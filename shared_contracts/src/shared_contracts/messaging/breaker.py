"""Many messages that fail alike, one after the other, are a bad release and not bad messages."""

from __future__ import annotations

from .set_aside import fingerprint_of

MOST_ALIKE = 50
"""Messages set aside in a row with one cause; the next one is held until something changes."""


class Breaker:
    """Counts failures with one cause that no success interrupts. One for the life of a process."""

    def __init__(self) -> None:
        self.cause = ""
        self._count = 0

    @property
    def is_open(self) -> bool:
        """Whether a message is held now, because more than enough failed alike before it."""
        return self._count > MOST_ALIKE

    def opens(self, error: BaseException) -> bool:
        """Count `error`; whether there were more like it in a row than may be set aside."""
        cause = fingerprint_of(error)
        self._count = self._count + 1 if cause == self.cause else 1
        self.cause = cause
        return self.is_open

    def close(self) -> None:
        """Something worked."""
        self._count = 0
