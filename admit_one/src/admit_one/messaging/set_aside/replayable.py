"""Which set-aside messages a replay may try."""

from __future__ import annotations

from admit_one.database.clock import now_plus
from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.messaging.models import SetAside, SetAsideQuerySet

from . import acts
from .acts import Action
from .replay_results import ReplayOrder, ReplayVerdict


def worth_a_try(rows: SetAsideQuerySet, order: ReplayOrder) -> SetAsideQuerySet:
    """`rows` without those that `why_not_tried` would refuse anyway, by one query."""
    if order.again:
        return rows.exclude(state__in=[SetAside.State.DISCARDED, SetAside.State.ERASED])
    days = conf.current().INBOX_DAYS
    return rows.open().filter(created_at__gte=now_plus(-days * 86_400.0))


def why_not_tried(row: SetAside, order: ReplayOrder) -> str:
    """Why it must not be tried, for people; empty if it may be."""
    if row.state == SetAside.State.ERASED:
        return "its subject was erased"
    if row.state == SetAside.State.DISCARDED:
        return "it was discarded: restore it first"
    if order.again:
        done = acts.on(row.id).filter(
            action=Action.AGAIN,
            by=order.by,
            reason=mask(order.reason),
            result=ReplayVerdict.APPLIED,
        )
        return "it was applied again for this reason already" if done.exists() else ""
    if row.state == SetAside.State.REPLAYED:
        return "it was handled already; --again --reason applies it once more"
    # A duplicate may have been handled since it was set aside; the inbox forgets after so long.
    days = conf.current().INBOX_DAYS
    if SetAside.objects.filter(id=row.id, created_at__lt=now_plus(-days * 86_400.0)).exists():
        return f"it is older than the {days} days that the inbox remembers; see --again"
    return ""
