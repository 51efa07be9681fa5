"""Which codes there are: by user, plan, state and address, a page at a time, the newest first.

A page reads a bounded number of rows, however many there are: it walks one index, and looks at no
more than `CHUNKS` parts of it. So where few of them match, a page may hold fewer than it could.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID

from django.db.models import DateTimeField, ExpressionWrapper, QuerySet
from django.db.models.functions import Now

from . import admission
from .admission import Reason
from .mails.mailboxes import mailbox_hash
from .models import AccessCode, MailIntent, Revocation, Suspension, Terms, of_user

if TYPE_CHECKING:
    from .looking_up import Checked

CHUNK = 200
"""Rows of an index that are looked at together."""

CHUNKS = 10
"""How many of these a page looks at, where not all rows match."""


class State(StrEnum):
    """What became of a code. Of several, the first of these counts."""

    REPLACED = "replaced"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    USED_UP = "used_up"
    ISSUED = "issued"


LISTED = [state for state in State if state is not State.REPLACED]
"""The states of codes in lists: they show the current code of each subscription."""


class Filters(NamedTuple):
    """What a list is narrowed to; none: not by this."""

    user_id: str | None = None
    plan: str | None = None
    state: State | None = None
    email: str | None = None


def state_of(row: Checked) -> State:
    """The state of a row of `admission.with_state`."""
    reason = admission.decide(row)
    if reason != Reason.OK:
        return State(reason.value)
    return State.USED_UP if admission.uses_left(row) == 0 else State.ISSUED


def page(filters: Filters, *, before: UUID | None, limit: int) -> tuple[list[Checked], UUID | None]:
    """At most `limit` codes of subscriptions with lower ids than `before`, by falling id.

    Also where the next page begins; none at the end.
    """
    walked, key = _index(filters)
    shown: list[Checked] = []
    for _ in range(CHUNKS):
        keys = _keys(walked, key, before)
        shown += (row for row in _rows(keys) if _matches(row, filters))
        if len(shown) > limit:
            return shown[:limit], shown[limit - 1].pk
        if len(keys) < CHUNK:
            return shown, None
        before = keys[-1]
    return shown, before


def _keys(walked: QuerySet[Any], key: str, before: UUID | None) -> list[UUID]:
    if before is not None:
        walked = walked.filter(**{f"{key}__lt": before})
    return list(walked.order_by(f"-{key}").values_list(key, flat=True).distinct()[:CHUNK])


def _index(filters: Filters) -> tuple[QuerySet[Any], str]:
    """The rows to walk, by the index with the fewest, and the field with their subscription."""
    if filters.email is not None:
        mails = MailIntent.objects.filter(recipient_hash=mailbox_hash(filters.email))
        return mails, "access_code_id"
    if filters.user_id is not None:
        return AccessCode.objects.filter(of_user(filters.user_id)), "pk"
    if filters.state == State.SUSPENDED:
        return Suspension.objects.all(), "subscription_id"
    if filters.state == State.REVOKED:
        return Revocation.objects.all(), "pk"
    if filters.state in BY_TERMS:
        return Terms.objects.filter(**{f"{BY_TERMS[filters.state]}__isnull": False}), "pk"
    by_plan = {} if filters.plan is None else {"plan": filters.plan}
    return AccessCode.objects.filter(**by_plan), "pk"


BY_TERMS = {
    State.NOT_YET_VALID: "valid_from",
    State.EXPIRED: "valid_until",
    State.USED_UP: "uses",
}
"""The field without which a code cannot be in this state."""


def _rows(keys: Sequence[UUID]) -> Iterator[Checked]:
    """The codes of these subscriptions, by falling id, as `admission.with_state` reads them.

    Each table by itself: joined, PostgreSQL might read a whole one for a few rows.
    """
    suspended = set(
        Suspension.objects.filter(subscription_id__in=keys).values_list(
            "subscription_id", flat=True
        )
    )
    now = ExpressionWrapper(Now(), output_field=DateTimeField())
    known = AccessCode.objects.kept().filter(pk__in=keys)
    rows = known.annotate(checked_at=now).order_by("-pk")
    for row in cast("QuerySet[Checked]", rows.prefetch_related("revocation", "terms")):
        row.is_suspended = row.pk in suspended
        yield row


def _matches(row: Checked, filters: Filters) -> bool:
    return (
        (filters.user_id is None or row.is_of(filters.user_id))
        and filters.plan in {None, row.plan}
        and filters.state in {None, state_of(row)}
    )
