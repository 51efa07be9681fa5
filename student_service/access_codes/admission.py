"""Who is let in: the one rule for every question about a code.

A code lets in if it is not revoked, not replaced, not suspended by anybody, and now is in
[valid_from, valid_until), by the clock of the database. A use of it may be counted as often as its
terms say.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, cast
from uuid import UUID

from django.db.models import DateTimeField, Exists, ExpressionWrapper, OuterRef, QuerySet
from django.db.models.functions import Now

from . import codes, looking_up
from .models import AccessCode, Suspension


class Reason(StrEnum):
    """Why a code lets in, or does not. Of several reasons, the first of these counts."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    REPLACED = "replaced"
    REVOKED = "revoked"
    OTHER_USER = "other_user"
    OTHER_PLAN = "other_plan"
    SUSPENDED = "suspended"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    USED_UP = "used_up"
    OK = "ok"


TELLS_NOTHING = {
    Reason.MALFORMED, Reason.UNKNOWN, Reason.REPLACED, Reason.OTHER_USER, Reason.OTHER_PLAN,
}  # fmt: skip
"""Reasons that come alone: whoever asks may not be the one for whom the code was issued."""


if TYPE_CHECKING:
    from .looking_up import Checked


class Admission(NamedTuple):
    """The answer about one code. `row` is none if there is none to speak of."""

    reason: Reason
    row: Checked | None = None

    @property
    def is_valid(self) -> bool:
        return self.reason == Reason.OK


def with_state() -> QuerySet[Checked]:
    """Codes that are not erased with all that decides about them, as of one moment by the
    database's clock.

    With their revocation and terms, too.
    """
    suspended = Suspension.objects.filter(subscription_id=OuterRef("pk"))
    rows = (
        AccessCode.objects.kept()
        .select_related("revocation", "terms")
        .annotate(
            is_suspended=Exists(suspended),
            checked_at=ExpressionWrapper(Now(), output_field=DateTimeField()),
        )
    )
    return cast("QuerySet[Checked]", rows)


def look_up(typed: str, *, lock: bool = False) -> Admission:
    """The code that a person typed, and whether it is known; the rest is for `decide`.

    Whatever is wrong with it, this runs the same statements. With `lock`, nobody else can change
    the code until the transaction ends.
    """
    try:
        code, malformed = codes.normalise(typed), False
    except ValueError:
        code, malformed = "", True  # no code has the hash of an empty text
    hashes = codes.hashes(code)
    if lock:
        looking_up.lock(hashes)
    row, is_replaced = looking_up.find(hashes)
    if malformed:
        return Admission(Reason.MALFORMED)
    if row is None:
        return Admission(Reason.REPLACED if is_replaced else Reason.UNKNOWN)
    return Admission(Reason.OK, row)


def decide(row: Checked, *, user_id: str | None = None, plan: str | None = None) -> Reason:
    """Whether a code of `with_state` lets in this user, to this plan, at its `checked_at`."""
    if row.is_revoked:
        return Reason.REVOKED
    if user_id is not None and not row.is_of(user_id):
        return Reason.OTHER_USER
    if plan is not None and plan != row.plan:
        return Reason.OTHER_PLAN
    if row.is_suspended:
        return Reason.SUSPENDED
    return _by_terms(row, row.checked_at)


def _by_terms(row: AccessCode, now: datetime) -> Reason:
    if not row.has_terms:
        return Reason.OK
    terms = row.terms
    if terms.valid_from is not None and now < terms.valid_from:
        return Reason.NOT_YET_VALID
    if terms.valid_until is not None and now >= terms.valid_until:
        return Reason.EXPIRED
    return Reason.OK


def uses_left(row: AccessCode) -> int | None:
    """How often the code may still be redeemed; none for any number."""
    if not row.has_terms or row.terms.uses is None:
        return None
    return max(0, row.terms.uses - row.uses)


def of_access(subscription_id: UUID, generation: int) -> Admission | None:
    """Whether an admission by this code still holds; none if there never was such a code.

    An admission is a use that was counted, so a code that is used up still holds.
    """
    row = with_state().filter(pk=subscription_id).first()
    if row is None or generation > row.generation:
        return None
    if generation < row.generation:
        return Admission(Reason.REPLACED)
    return Admission(decide(row), row)
