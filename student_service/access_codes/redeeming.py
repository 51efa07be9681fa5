"""Counts the uses of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from admit_one.database import bulk
from admit_one.messaging import Envelope, publish
from django.db import transaction
from django.db.models import F
from shared_contracts.events import AccessCodeRedeemed
from uuid_utils.compat import uuid7

from . import admission
from .admission import Admission, Reason
from .models import AccessCode, Redemption

if TYPE_CHECKING:
    from .admission import Checked


class Question(NamedTuple):
    """What a platform asks about a code that somebody has typed."""

    code: str
    user_id: str | None = None
    plan: str | None = None
    reference: str | None = None
    """The platform's own name of the use: the same one again is the same use."""


def validate(question: Question) -> Admission:
    """Whether a redemption would be counted. Changes nothing."""
    known = admission.look_up(question.code)
    return known if known.row is None else _decide(known.row, question)


@transaction.atomic(savepoint=False)
def redeem(question: Question, *, client: str) -> Admission:
    """Count a use of the code, if it lets in.

    With a reference, one use for each client and reference: that is the same use again, even of a
    code that is used up by now. Of two concurrent redemptions of the last use, one is counted.
    """
    known = admission.look_up(question.code, lock=True)
    if known.row is None:
        return known
    row = known.row
    if question.reference is not None and _was_redeemed(row, client, question.reference):
        reason = admission.decide(row, user_id=question.user_id, plan=question.plan)
        return Admission(reason, row)
    answer = _decide(row, question)
    if answer.is_valid:
        _count(row, client, question.reference)
    return answer


def _decide(row: Checked, question: Question) -> Admission:
    reason = admission.decide(row, user_id=question.user_id, plan=question.plan)
    if reason == Reason.OK and admission.uses_left(row) == 0:
        reason = Reason.USED_UP
    return Admission(reason, row)


def _was_redeemed(row: AccessCode, client: str, reference: str) -> bool:
    return row.redemptions.filter(client=client, reference=reference).exists()


def _count(row: Checked, client: str, reference: str | None) -> None:
    """The row is locked, so that its count is the latest."""
    now = row.checked_at
    bulk.insert(
        Redemption,
        [
            {
                "id": uuid7(),
                "access_code_id": row.pk,
                "generation": row.generation,
                "client": client,
                "reference": reference,
                "redeemed_at": now,
            }
        ],
    )
    AccessCode.objects.filter(pk=row.pk).update(uses=F("uses") + 1)
    row.uses += 1
    publish(Envelope.of(AccessCodeRedeemed(subscription_id=row.pk, uses=row.uses, redeemed_at=now)))
