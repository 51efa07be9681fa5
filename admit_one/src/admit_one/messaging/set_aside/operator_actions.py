"""Carries out what an operator orders, by `manage.py set_aside` or on a page.

An order that ended early leaves the other messages as they are; the same order continues with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from admit_one.contract.errors import MessagingError
from admit_one.database import outage
from admit_one.masking import harmless
from admit_one.messaging.models import SetAside, SetAsideQuerySet
from admit_one.processes.stopping import Stop
from admit_one.sealing import canaries

from . import acts, bulk_replay, groups, report
from .groups import Choice, oldest_first
from .replay import rehearse
from .replay_results import ReplayOrder, ReplayResult, ReplayVerdict
from .replayable import worth_a_try

OUTAGE_ERRORS = (outage.NotNow, *outage.DATABASE_ERRORS)

NEED_A_REASON = {"discard", "go-on"}
"""A replay of messages that were handled before needs one, too."""

Watch = Callable[[int, int, str], bool]
"""Called after each step with the number done, the total and a word; returns whether to go on."""


@dataclass(frozen=True)
class Outcome:
    """The result of an order; `lines` are for people."""

    lines: Sequence[str] = ()
    problem: str = ""
    """Why it ended early, unless `watch` ended it."""
    left: int = 0
    """Messages that it did not reach."""
    not_done: int = 0
    """Messages for which it could not do what was ordered."""


@dataclass(frozen=True)
class OperatorActions:
    """Does what an operator orders. `watch` follows its progress, and may end it early."""

    order: ReplayOrder
    watch: Watch
    stop: Stop
    rate: float = 0
    """Messages replayed per second, at most; 0: no limit."""
    each: bool = False
    """Whether each message gets a line, beside the summary."""

    def do(self, verb: str, choice: Choice) -> Outcome:
        """Do what `verb` names. Raises `MessagingError`, `WrongKey` or one of `OUTAGE_ERRORS`."""
        verbs = {
            "rehearse": self.rehearse,
            "replay": self.replay,
            "discard": self.discard,
            "restore": self.restore,
            "go-on": self.go_on,
        }
        return verbs[verb](choice)

    def rehearse(self, choice: Choice) -> Outcome:
        """What a replay would do; nothing changes."""
        canaries.compare()
        ids, others = self._to_be_tried(choice)
        if not ids and not others:
            return _nothing_to_replay(choice)
        steps = (rehearse(row_id, self.order) for row_id in ids)
        done = "tried and rolled back: nothing has changed"
        return self._tried(steps, len(ids), others, done, report.WOULD)

    def replay(self, choice: Choice) -> Outcome:
        """Replay the messages, in growing batches."""
        canaries.check()  # a handler may seal and send
        ids, others = self._to_be_tried(choice)
        if not ids and not others:
            return _nothing_to_replay(choice)
        steps = bulk_replay.replayed(ids, self.order, self.stop, rate=self.rate)
        return self._tried(steps, len(ids), others, "replayed", report.HAS)

    def discard(self, choice: Choice) -> Outcome:
        """Discard the messages."""
        return self._decided(acts.discard, choice.rows("discard"), "discarded")

    def restore(self, choice: Choice) -> Outcome:
        """Restore the messages that were discarded."""
        return self._decided(acts.restore, choice.rows("restore"), "restored")

    def go_on(self, choice: Choice) -> Outcome:
        """Let consumers that hold messages set aside those that fail with this group's cause."""
        cause = groups.named(choice.group or "")
        acts.go_on(cause, by=self.order.by, reason=self.order.reason)
        text = f"for an hour, consumers set aside messages that fail with {cause}"
        return Outcome([harmless(text)])

    def _to_be_tried(self, choice: Choice) -> tuple[list[int], int]:
        """The ids to replay, in order, and how many others will not be tried."""
        rows = choice.rows("replay")
        if choice.ids or self.each:  # each gets its own reason
            return bulk_replay.least_tried_first(rows), 0
        ids = bulk_replay.least_tried_first(worth_a_try(rows, self.order))
        return ids, rows.count() - len(ids)

    def _tried(
        self,
        steps: Iterator[ReplayResult],
        total: int,
        others: int,
        done: str,
        words: dict[ReplayVerdict, str],
    ) -> Outcome:
        answers: list[ReplayResult] = []
        failed, problem = 0, ""
        try:
            for answer in steps:
                answers.append(answer)
                failed += answer.failed
                if not self.watch(len(answers), total, f"{failed:,} not applied"):
                    break
        except (MessagingError, *OUTAGE_ERRORS) as error:
            problem = in_words(error)
        lines = [
            f"{len(answers):,} of {total:,} messages {done}",
            *(report.each(answers, words) if self.each else ()),
            *report.summed_up(answers, words),
        ]
        if others:
            why = "handled already, discarded, or older than the inbox remembers"
            lines.append(f"{others:,} others are not tried: {why}")
        not_done = others + sum(not answer.closes for answer in answers)
        return Outcome([*map(harmless, lines)], problem, total - len(answers), not_done)

    def _decided(
        self, decide: Callable[..., Iterable[int]], rows: SetAsideQuerySet, done: str
    ) -> Outcome:
        ids = oldest_first(rows)
        reached = changed = 0
        for number in decide(ids, by=self.order.by, reason=self.order.reason):
            reached = min(len(ids), reached + acts.BATCH)
            changed += number
            if not self.watch(reached, len(ids), done):
                break
        lines = [f"{changed:,} of {len(ids):,} messages {done}"]
        if others := reached - changed:
            lines.append(f"{others:,} are in a state that does not allow it")
        return Outcome(lines, left=len(ids) - reached, not_done=others)


def in_words(error: Exception) -> str:
    """An error, in words for operators."""
    if isinstance(error, outage.DATABASE_ERRORS):
        return f"the database is unavailable ({type(error).__name__})"
    return harmless(str(error))


def _nothing_to_replay(choice: Choice) -> Outcome:
    """Mentions messages that are retrying, which are replayed only with `--state retrying`."""
    nothing = "there is nothing to replay"
    retrying = replace(choice, state=SetAside.State.RETRYING).rows("replay").count()
    if choice.state or not retrying:
        return Outcome([nothing])
    hint = f"{retrying:,} are retrying by themselves (now: --state retrying)"
    return Outcome([f"{nothing}; {hint}"])
