"""Counts the uses of codes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from admit_one.database import together
from admit_one.messaging import Envelope, publish
from django.db import IntegrityError, connection, transaction
from shared_contracts.events import AccessCodeRedeemed

from . import admission, uses, webhook_events
from .admission import Admission, Reason
from .models import AccessCode

if TYPE_CHECKING:
    from .looking_up import Checked

T = TypeVar("T")

Count: TypeAlias = Callable[[AccessCode, str, str | None, datetime], bool]
"""Counts a use; false if it is the same one again."""


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


def redeem(question: Question, *, client: str) -> Admission:
    """Count a use of the code, if it lets in.

    With a reference, one use for each client and reference: that is the same use again, even of a
    code that is used up by now. Of two concurrent redemptions of the last use, one is counted.
    """
    return redeem_and(question, client=client, word=lambda answer: answer)


def redeem_and(question: Question, *, client: str, word: Callable[[Admission], T]) -> T:
    """The same, worded by `word`: if that raises, no use is counted."""
    if not connection.in_atomic_block:  # otherwise it is too late for a single statement
        with suppress(together.Overtaken, IntegrityError), together.transaction():
            return word(_redeem(question, client, uses.count_if_unchanged))
    with transaction.atomic(savepoint=False):
        return word(_redeem(question, client, uses.count, lock=True))


def _redeem(question: Question, client: str, count: Count, *, lock: bool = False) -> Admission:
    known = admission.look_up(question.code, lock=lock)
    answer = known if known.row is None else _decide(known.row, question)
    if answer.is_valid and answer.row is not None:
        if count(answer.row, client, question.reference, answer.row.checked_at):
            _report(answer.row)
    elif question.reference is not None:
        # Asked whatever the reason is, so that every refusal takes as long.
        again = uses.is_counted(answer.row, client, question.reference)
        if again and answer.reason == Reason.USED_UP:
            return Admission(Reason.OK, answer.row)
    return answer


def _decide(row: Checked, question: Question) -> Admission:
    reason = admission.decide(row, user_id=question.user_id, plan=question.plan)
    if reason == Reason.OK and admission.uses_left(row) == 0:
        reason = Reason.USED_UP
    return Admission(reason, row)


def _report(row: Checked) -> None:
    redeemed = AccessCodeRedeemed(subscription_id=row.pk, uses=row.uses, redeemed_at=row.checked_at)
    publish(Envelope.of(redeemed))
    webhook_events.report_one("redeemed", row, uses=row.uses)
