"""A set-aside message tried again because somebody asked: for good, or only to see what would be.

Both go the way of every message, through the inbox into its handler. A trial is rolled back, so
its result is what the handler really did. For good, the try is counted and committed before it
is made: one that kills the process leaves an act without a result, and its row as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from admit_one.acts.models import Act
from admit_one.contract.errors import MessagingError
from admit_one.database import outage
from admit_one.database.clock import now_plus
from admit_one.masking import mask
from admit_one.messaging import conf, inbox, probe
from admit_one.messaging.inbox import Result
from admit_one.messaging.models import SetAside, SetAsideQuerySet

from . import acts, error_record, keeping
from .acts import Action

T = TypeVar("T")


class Verdict(StrEnum):
    """What became of a message, or would become of it."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """It was handled before: nothing is done, and it is closed."""
    UNREADABLE = "unreadable"
    NO_HANDLER = "no handler"
    CONTRADICTS = "contradicts"
    """Its id was handled with another body."""
    REJECTED = "rejected"
    """The use case refuses it: things have moved on."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not tried: it is closed, or so old that a second effect cannot be ruled out."""


VERDICTS = {
    Result.HANDLED: Verdict.APPLIED,
    Result.DUPLICATE: Verdict.DUPLICATE,
    Result.UNKNOWN: Verdict.NO_HANDLER,
    Result.MALFORMED: Verdict.UNREADABLE,
    Result.REJECTED: Verdict.REJECTED,
}
NOT_THERE = "there is no such message"
CLOSES = {Verdict.APPLIED, Verdict.DUPLICATE}


@dataclass(frozen=True)
class ReplayResult:
    """What one replay came to; `reason` and `fingerprint` are why it was not applied."""

    id: int
    verdict: Verdict
    reason: str = ""
    fingerprint: str = ""

    @property
    def closes(self) -> bool:
        """Whether this closes the row: nothing is left to do about it."""
        return self.verdict in CLOSES

    @property
    def came_back(self) -> bool:
        """Whether it was tried and failed."""
        return not self.closes and self.verdict is not Verdict.SKIPPED


@dataclass(frozen=True)
class Order:
    """Who wants messages tried, and why. `again`: although they were handled.

    Such an order is done once: the same order, repeated after it was stopped, goes on.
    """

    by: str
    reason: str = ""
    again: bool = False


def trial(row_id: int, order: Order) -> ReplayResult:
    """What `replay` would do with this message now: it is done, and rolled back.

    Call it outside a transaction. Raises `outage.LetGo` if the database is away.
    """
    try:
        return _unless_away(lambda: _rehearsed(row_id, order))
    except outage.LetGo:
        raise
    except Exception as error:  # noqa: BLE001 (a handler may raise anything)
        return _failed(row_id, error)


def replay(row_id: int, order: Order) -> ReplayResult:
    """Try this message now, and keep what came of it.

    Safe to repeat, and beside other operators and the consumer. Call it outside a transaction.
    Raises `outage.LetGo` if the database is away: what is not answered for was rolled back.
    """
    claimed = _unless_away(lambda: _claim(row_id, order))
    if isinstance(claimed, ReplayResult):
        return claimed
    row, act = claimed
    try:
        answer = _unless_away(lambda: _applied(row, act, order))
    except outage.LetGo:
        raise
    except Exception as error:  # noqa: BLE001 (a handler may raise anything; it is kept, not lost)
        fault = error  # the name `error` ends with this block
        answer = _failed(row_id, fault)
        _unless_away(lambda: _keep(row, act, answer, fault))
    return answer


def _rehearsed(row_id: int, order: Order) -> ReplayResult:
    with transaction.atomic():
        row = SetAside.objects.filter(id=row_id).first()
        if row is None or (unfit := _unfit(row, order)):
            return ReplayResult(row_id, Verdict.SKIPPED, unfit if row else NOT_THERE)
        answer, _ = _through_the_inbox(row, order)
        connection.check_constraints()  # some are else checked at the commit only
        transaction.set_rollback(True)
    return answer


def _claim(row_id: int, order: Order) -> tuple[SetAside, Act] | ReplayResult:
    """Count the coming try, and write down who wants it."""
    with transaction.atomic():
        row = SetAside.objects.select_for_update().filter(id=row_id).first()
        if row is None or (unfit := _unfit(row, order)):
            return ReplayResult(row_id, Verdict.SKIPPED, unfit if row else NOT_THERE)
        SetAside.objects.filter(id=row_id).update(replays=F("replays") + 1)
        action = Action.AGAIN if order.again else Action.REPLAY
        act = acts.draft(row, action, by=order.by, reason=order.reason)
        act.save(force_insert=True)
        return row, act


def _applied(row: SetAside, act: Act, order: Order) -> ReplayResult:
    """Try it, and write the answer in the same transaction: neither is there without the other."""
    with transaction.atomic():
        # Two operators at once: the second one waits here, and finds it closed.
        row = SetAside.objects.select_for_update().get(id=row.id)
        before = Act.objects.get(id=act.id)
        if before.result:  # it was committed, and the answer to that was lost on the way
            return ReplayResult(row.id, Verdict(before.result), before.detail)
        if unfit := _unfit(row, order):
            answer, error = ReplayResult(row.id, Verdict.SKIPPED, unfit), None
        else:
            answer, error = _through_the_inbox(row, order)
        _keep(row, act, answer, error)
    return answer


def _through_the_inbox(row: SetAside, order: Order) -> tuple[ReplayResult, MessagingError | None]:
    """Handle it; what was not applied leaves nothing, the memory of an earlier time included."""
    message = keeping.read(row)
    with transaction.atomic():
        if order.again:
            inbox.forget(message)
        [outcome] = inbox.process([message], conf.handlers())
        if outcome.result is not Result.HANDLED:
            transaction.set_rollback(True)
    if outcome.error is None:
        return ReplayResult(row.id, VERDICTS[outcome.result]), None
    contradicts = outcome.result is Result.MALFORMED and message.fault is None
    verdict = Verdict.CONTRADICTS if contradicts else VERDICTS[outcome.result]
    return _unhappy(row.id, verdict, outcome.error), outcome.error


def _keep(row: SetAside, act: Act, answer: ReplayResult, error: BaseException | None) -> None:
    rows = SetAside.objects.filter(id=row.id)
    with transaction.atomic():
        if answer.closes:
            rows.update(
                state=SetAside.State.REPLAYED, closed_at=Now(), next_attempt_at=None, unanswered=0
            )
        elif error is not None:
            # What was handled once and is not again stays handled.
            rows.open().update(**error_record.described(error))
        Act.objects.filter(id=act.id).update(result=answer.verdict, detail=answer.reason)


def worth_a_try(rows: SetAsideQuerySet, order: Order) -> SetAsideQuerySet:
    """`rows` without those that are known, all at once, to be not tried; see `_unfit`."""
    if order.again:
        return rows.exclude(state=SetAside.State.DISCARDED)
    days = conf.current().INBOX_DAYS
    return rows.open().filter(created_at__gte=now_plus(-days * 86_400.0))


def _unfit(row: SetAside, order: Order) -> str:
    """Why it must not be tried, in words; empty if it may."""
    if row.state == SetAside.State.DISCARDED:
        return "it was discarded: restore it first"
    if order.again:
        done = acts.on(row.id).filter(
            action=Action.AGAIN,
            by=order.by,
            reason=mask(order.reason),
            result=Verdict.APPLIED,
        )
        return "it was applied again for this reason already" if done.exists() else ""
    if row.state == SetAside.State.REPLAYED:
        return "it was handled already; --again --reason applies it once more"
    # A copy of it may have been handled after it was set aside; the inbox knows, for so long.
    days = conf.current().INBOX_DAYS
    if SetAside.objects.filter(id=row.id, created_at__lt=now_plus(-days * 86_400.0)).exists():
        return f"it is older than {days} days, the memory of what was handled; see --again"
    return ""


def _failed(row_id: int, error: BaseException) -> ReplayResult:
    return _unhappy(row_id, Verdict.FAILED, error)


def _unhappy(row_id: int, verdict: Verdict, error: BaseException) -> ReplayResult:
    return ReplayResult(
        row_id, verdict, error_record.reason_of(error), error_record.fingerprint_of(error)
    )


def _unless_away(step: Callable[[], T]) -> T:
    """Do `step`. A person waits for the answer, so an outage is not waited out but reported."""
    return outage.outlast(step, _never_wait, works=probe.database_works, at_most=0)


def _never_wait(seconds: float, error: Exception) -> None:
    """There is no pause before the end."""
