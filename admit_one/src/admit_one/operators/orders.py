"""What an operator orders on a web page: the work of `manage.py set_aside`, some seconds at a time.

A request must end. What it did not get to is as it was, and the same order goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from admit_one.contract.errors import MessagingError
from admit_one.database import outage
from admit_one.masking import harmless
from admit_one.messaging.set_aside import (
    bulk_replay,
    decisions,
    groups,
    report,
)
from admit_one.messaging.set_aside import (
    choice as set_aside_choice,
)
from admit_one.messaging.set_aside.choice import Choice
from admit_one.messaging.set_aside.replay import Order, ReplayResult, trial, worth_a_try
from admit_one.processes.stopping import Stop
from admit_one.sealing import canaries

T = TypeVar("T")

OUTAGE_ERRORS = (outage.LetGo, *outage.DATABASE_ERRORS)

PATIENCE = 4.0
"""Seconds that an order works; less than a web server that stops waits for a request."""

MOST_IDS = 200
"""In one address. More messages than that are chosen by their group."""

_NOBODY_ASKS = Stop()


class NotUnderstood(MessagingError):
    """An address that names no messages."""


@dataclass(frozen=True)
class OrderResult:
    """What came of an order, in lines; why it ended early; and how many it did not get to."""

    lines: list[str] = field(default_factory=list)
    problem: str = ""
    left: int = 0


@dataclass(frozen=True)
class Work:
    """An order about some messages. `rate` is in messages a second, 0 for no limit."""

    choice: Choice
    order: Order
    rate: float = 0.0


def chosen(query: Mapping[str, str]) -> Choice:
    """The messages that an address names: `ids=1,2`, `group=3f9a12` or `all=1`, and a `state`.

    Raises `NotUnderstood`.
    """
    ids, group, everything = (query.get(name, "") for name in ("ids", "group", "all"))
    if sum(map(bool, (ids, group, everything))) != 1:
        raise NotUnderstood("expected one of: ids, group, all")
    numbers = ids.split(",") if ids else []
    if len(numbers) > MOST_IDS or not all(n.isdecimal() and len(n) < 19 for n in numbers):
        raise NotUnderstood(f"expected {MOST_IDS} ids at most, with commas between them")
    state = query.get("state") or None
    if state not in {None, *set_aside_choice.S.values}:
        raise NotUnderstood(f"expected one of {', '.join(set_aside_choice.S.values)}")
    return Choice([int(number) for number in numbers], group or None, bool(everything), state)


def rehearse(work: Work) -> OrderResult:
    """What a replay would do; nothing changes."""
    canaries.compare()
    ids, others = _to_be_tried(work)
    answers, problem = _answers(trial(row_id, work.order) for row_id in ids)
    lines = [
        f"{len(answers):,} of {len(ids):,} messages tried and rolled back: nothing has changed",
        *report.summed_up(answers, report.WOULD),
        *others,
    ]
    if not problem and len(answers) < len(ids):
        lines.append("No time for the others; `set_aside replay --dry-run` has all the time.")
    return OrderResult(lines, problem)


def replay(work: Work) -> OrderResult:
    """Try the messages, in growing batches."""
    canaries.check()  # a handler may seal and send
    ids, others = _to_be_tried(work)
    steps = bulk_replay.replayed(ids, work.order, _NOBODY_ASKS, rate=work.rate)
    answers, problem = _answers(steps)
    return OrderResult(
        [
            f"{len(answers):,} of {len(ids):,} messages replayed",
            *report.summed_up(answers, report.HAS),
            *others,
        ],
        problem,
        len(ids) - len(answers),
    )


def _to_be_tried(work: Work) -> tuple[list[int], list[str]]:
    """Ids in the order of a replay, and a line about those that will not be tried."""
    rows = work.choice.rows("replay")
    if work.choice.ids:  # few: each gets its own reason
        return bulk_replay.least_tried_first(rows), []
    ids = bulk_replay.least_tried_first(worth_a_try(rows, work.order))
    others = rows.count() - len(ids)
    why = "handled already, discarded, or older than the memory of what was handled"
    return ids, [f"{others:,} others are not tried: {why}"] if others else []


def discard(work: Work) -> OrderResult:
    """Give the messages up."""
    ids = set_aside_choice.oldest_first(work.choice.rows("discard"))
    order = work.order
    return _closed(decisions.discard(ids, by=order.by, reason=order.reason), len(ids), "discarded")


def restore(work: Work) -> OrderResult:
    """Take the messages back that were given up."""
    ids = set_aside_choice.oldest_first(work.choice.rows("restore"))
    order = work.order
    return _closed(decisions.restore(ids, by=order.by, reason=order.reason), len(ids), "restored")


def go_on(work: Work) -> OrderResult:
    """Let a consumer that holds set aside what fails with this group's cause."""
    cause = groups.named(work.choice.group or "")
    decisions.go_on(cause, by=work.order.by, reason=work.order.reason)
    return OrderResult([f"for an hour, consumers set aside what fails with {harmless(cause)}"])


DO: Mapping[str, Callable[[Work], OrderResult]] = {
    "rehearse": rehearse,
    "replay": replay,
    "discard": discard,
    "restore": restore,
    "go-on": go_on,
}


def done(what: str, work: Work) -> OrderResult:
    """The result of one of `DO`, which also reports all that can go wrong with it."""
    try:
        outcome = DO[what](work)
    except (MessagingError, canaries.WrongKey, *OUTAGE_ERRORS) as error:
        return OrderResult(problem=in_words(error))
    return OrderResult([harmless(line) for line in outcome.lines], outcome.problem, outcome.left)


def _answers(steps: Iterator[ReplayResult]) -> tuple[list[ReplayResult], str]:
    """All answers there was time for, and why there are no more if that was not it."""
    answers: list[ReplayResult] = []
    try:
        for answer in _while_there_is_time(steps):
            answers.append(answer)  # noqa: PERF402 (those before an error are wanted, too)
    except (MessagingError, *OUTAGE_ERRORS) as error:
        return answers, in_words(error)
    return answers, ""


def in_words(error: Exception) -> str:
    """An error, as an operator reads it."""
    if isinstance(error, outage.DATABASE_ERRORS):
        return f"the database is away ({type(error).__name__})"
    return harmless(str(error))


def _closed(steps: Iterator[int], total: int, verb: str) -> OrderResult:
    batches = list(_while_there_is_time(steps))
    reached = min(total, decisions.BATCH * len(batches))
    lines = [f"{sum(batches):,} of {total:,} messages {verb}"]
    if others := reached - sum(batches):
        lines.append(f"{others:,} are in a state that does not allow it")
    return OrderResult(lines, left=total - reached)


def _while_there_is_time(steps: Iterable[T]) -> Iterator[T]:
    end = time.monotonic() + PATIENCE
    for step in steps:
        yield step
        if time.monotonic() > end:
            return
