"""Replays a set-aside message for an operator, or rehearses that.

Both pass it through the inbox to its handler, like every message. A rehearsal is rolled back
afterwards, so its result is what the handler really did. A replay is counted, and that is
committed, before it begins: one that kills the process leaves an act without a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from admit_one.acts.models import Act
from admit_one.contract.errors import MessagingError
from admit_one.database import outage
from admit_one.masking import hiding
from admit_one.messaging import conf, inbox, tombstones
from admit_one.messaging.inbox import Result
from admit_one.messaging.models import SetAside

from . import acts, blanking, error_record, keeping
from .acts import Action
from .replay_results import VERDICTS, ReplayOrder, ReplayResult, ReplayVerdict
from .replayable import why_not_tried

T = TypeVar("T")

NOT_THERE = "there is no such message"


def rehearse(row_id: int, order: ReplayOrder) -> ReplayResult:
    """What `replay` would do with this message now; everything is rolled back.

    Call it outside a transaction. Raises `outage.NotNow` if the database is unavailable.
    """
    row = _or_not_now(lambda: SetAside.objects.filter(id=row_id).first())
    with hiding(keeping.sensitive_values(row) if row else ()):
        try:
            return _or_not_now(lambda: _rehearsed(row_id, order))
        except outage.NotNow:
            raise
        except Exception as error:  # noqa: BLE001 (a handler may raise anything)
            return ReplayResult.of_error(row_id, ReplayVerdict.FAILED, error)


def replay(row_id: int, order: ReplayOrder) -> ReplayResult:
    """Try to handle this message now, and record the result.

    Safe to repeat, and to run beside other operators and the consumer. Call it outside a
    transaction. Raises `outage.NotNow` if the database is unavailable; the attempt is rolled back.
    """
    claimed = _or_not_now(lambda: _claim(row_id, order))
    if isinstance(claimed, ReplayResult):
        return claimed
    row, act = claimed
    with hiding(keeping.sensitive_values(row)):
        return _replayed(row, act, order)


def _replayed(row: SetAside, act: Act, order: ReplayOrder) -> ReplayResult:
    try:
        _or_not_now(lambda: keeping.identify(row))
        answer = _or_not_now(lambda: _applied(row, act, order))
    except outage.NotNow:
        raise
    except Exception as error:  # noqa: BLE001 (a handler may raise anything)
        fault = error  # the name `error` ends with this block
        answer = ReplayResult.of_error(row.id, ReplayVerdict.FAILED, fault)
        _or_not_now(lambda: _record(row, act, answer, fault))
    return answer


def _rehearsed(row_id: int, order: ReplayOrder) -> ReplayResult:
    with transaction.atomic():
        row = SetAside.objects.filter(id=row_id).first()
        if row is None or (why_not := why_not_tried(row, order)):
            return ReplayResult(row_id, ReplayVerdict.SKIPPED, why_not if row else NOT_THERE)
        answer, _ = _through_the_inbox(row, order)
        connection.check_constraints()  # some are deferred to the commit
        transaction.set_rollback(True)
    return answer


def _claim(row_id: int, order: ReplayOrder) -> tuple[SetAside, Act] | ReplayResult:
    """Count the attempt, and record who ordered it."""
    with transaction.atomic():
        row = SetAside.objects.select_for_update().filter(id=row_id).first()
        if row is None or (why_not := why_not_tried(row, order)):
            return ReplayResult(row_id, ReplayVerdict.SKIPPED, why_not if row else NOT_THERE)
        SetAside.objects.filter(id=row_id).update(replays=F("replays") + 1)
        action = Action.AGAIN if order.again else Action.REPLAY
        act = acts.draft(row, action, by=order.by, reason=order.reason)
        act.save(force_insert=True)
        return row, act


def _applied(row: SetAside, act: Act, order: ReplayOrder) -> ReplayResult:
    """Handle it, and record the result in the same transaction."""
    with transaction.atomic():
        tombstones.lock_any(row.subject, b"")  # before the row, as an erasure does
        # A second operator waits here, and then finds it closed.
        row = SetAside.objects.select_for_update().get(id=row.id)
        before = Act.objects.get(id=act.id)
        if before.result:  # it was committed, but the connection failed before we knew
            return ReplayResult(row.id, ReplayVerdict(before.result), before.detail)
        if why_not := why_not_tried(row, order):
            answer, error = ReplayResult(row.id, ReplayVerdict.SKIPPED, why_not), None
        else:
            answer, error = _through_the_inbox(row, order)
        _record(row, act, answer, error)
    return answer


def _through_the_inbox(
    row: SetAside, order: ReplayOrder
) -> tuple[ReplayResult, MessagingError | None]:
    """Handle it; unless it is applied, everything is rolled back, `inbox.forget` included."""
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
    verdict = ReplayVerdict.CONTRADICTS if contradicts else VERDICTS[outcome.result]
    return ReplayResult.of_error(row.id, verdict, outcome.error), outcome.error


def _record(row: SetAside, act: Act, answer: ReplayResult, error: BaseException | None) -> None:
    rows = SetAside.objects.filter(id=row.id).exclude(state=SetAside.State.ERASED)
    with transaction.atomic():
        if answer.closes:
            rows.update(
                state=SetAside.State.REPLAYED, closed_at=Now(), next_attempt_at=None, unanswered=0
            )
        elif error is not None:
            # A closed row stays as it is: the message was handled before.
            rows.open().update(**error_record.described(error))
        detail = answer.reason if rows.exists() else ""  # it may have been erased meanwhile
        Act.objects.filter(id=act.id).update(result=answer.verdict, detail=detail)
        if answer.closes:
            blanking.blank_if_erased(row)


def _or_not_now(step: Callable[[], T]) -> T:
    """Do `step`. An operator waits for the result, so an outage raises `NotNow` at once."""
    return outage.outlast(step, _never_wait, works=inbox.database_works, at_most=0)


def _never_wait(seconds: float, error: Exception) -> None:
    """No pause: `at_most=0` ends the loop."""
