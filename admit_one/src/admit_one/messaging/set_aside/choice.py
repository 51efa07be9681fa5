"""Which set-aside messages an operator means, and in which states a verb can do anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from admit_one.contract.errors import MessagingError
from admit_one.messaging.models import SetAside, SetAsideQuerySet

from . import groups

S = SetAside.State
STATES = {
    "replay": [S.DEAD, S.RETRYING, S.REPLAYED],
    "discard": [S.DEAD, S.RETRYING],
    "restore": [S.DISCARDED],
}
"""The states on which each verb works; of a group and of all, the first unless one is given."""


class NoSuchMessage(MessagingError):
    """An id that no message has; they are all named."""


@dataclass(frozen=True)
class Choice:
    """These ids, or a group, or everything, and in which state. Nothing given means none."""

    ids: Sequence[int] = ()
    group: str | None = None
    everything: bool = False
    state: str | None = None

    def rows(self, verb: str) -> SetAsideQuerySet:
        """The messages that `verb` is for. Raises `NoSuchMessage` and `NoSuchGroup`."""
        if self.ids:
            rows = SetAside.objects.filter(id__in=self.ids)
            if missing := sorted(set(self.ids) - set(oldest_first(rows))):
                raise NoSuchMessage(
                    f"no message {', '.join(map(str, missing))}; see `set_aside list`"
                )
            return rows.filter(state=self.state) if self.state else rows
        if self.group is not None:
            rows = SetAside.objects.filter(fingerprint=groups.named(self.group))
        else:
            rows = SetAside.objects.all() if self.everything else SetAside.objects.none()
        return rows.filter(state=self.state or STATES[verb][0])


def oldest_first(rows: SetAsideQuerySet) -> list[int]:
    """Their ids, the oldest first."""
    return list(rows.order_by("id").values_list("id", flat=True))
