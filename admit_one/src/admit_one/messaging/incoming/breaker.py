"""Many messages in a row that fail with one cause mean a bad release, not bad messages."""

from __future__ import annotations

from admit_one.acts.models import Act
from admit_one.database.clock import now_plus
from admit_one.messaging.set_aside import acts
from admit_one.messaging.set_aside.error_record import fingerprint_of
from admit_one.messaging.set_aside.groups import short

MOST_ALIKE = 50
"""Messages with one cause that are set aside in a row; the next one is held."""

GO_ON_FOR = 3600.0
"""Seconds that an operator's `go-on` lasts: no cause is accepted forever."""


class Breaker:
    """Counts failures with one cause that no success interrupts. One for the life of a process."""

    def __init__(self) -> None:
        self.cause = ""
        self._count = 0

    @property
    def is_open(self) -> bool:
        """Whether a message is held, because too many have failed with its cause."""
        return self._count > MOST_ALIKE

    def opens(self, error: BaseException) -> bool:
        """Count `error`; returns whether more in a row have its cause than may be set aside."""
        cause = fingerprint_of(error)
        self._count = self._count + 1 if cause == self.cause else 1
        self.cause = cause
        if self.is_open and self._may_go_on():
            self._count = MOST_ALIKE
        return self.is_open

    @property
    def why_open(self) -> str:
        """Why messages are held, for people."""
        return f"too many messages in a row fail with {self.cause}"

    @property
    def advice(self) -> str:
        """What an operator does about it, on one line."""
        group = short(self.cause)
        return (
            f"it continues by itself once they work; see `manage.py set_aside list`, group "
            f"{group}, then fix or roll back the release; if the messages are at fault, "
            f"`manage.py set_aside go-on --group {group} --reason ...`"
        )

    def _may_go_on(self) -> bool:
        return Act.objects.filter(
            area=acts.AREA,
            action=acts.Action.GO_ON,
            group=self.cause,
            at__gt=now_plus(-GO_ON_FOR),
        ).exists()

    def close(self) -> None:
        """Start counting again after a success."""
        self._count = 0
