"""Where an operator works on set-aside messages: `manage.py set_aside`, a verb at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from admit_one.contract.errors import MessagingError
from admit_one.database import outage
from admit_one.masking import harmless
from admit_one.messaging.models import SetAside
from admit_one.processes.stopping import Stop
from admit_one.sealing import canaries

from . import bulk_replay, decisions, report
from . import choice as set_aside_choice
from . import groups as set_aside_groups
from .choice import Choice
from .replay import Order, ReplayResult, Verdict, trial

BAR = 30
"""Characters."""

REDRAW = 0.1
"""Seconds between two looks of the progress line: drawing it must not take longer than the work."""


class Unfinished(MessagingError):
    """Something was not done, or came back."""

    def __init__(self, text: str, *, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Screen(Protocol):
    """What lines are written to: a file, or Django's wrapper of one."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class Desk:
    """Does what the operator orders, and reports the result. Progress goes to a terminal only.

    Its verbs raise `Unfinished`, and `NoSuchGroup` and `NoSuchMessage` for what is not there; a
    replay with other keys than the database's raises `WrongKey`.
    """

    def __init__(self, out: Screen, progress: Screen, stop: Stop, *, each: bool = False) -> None:
        """With `each`, every message gets a line, beside the summary."""
        self._out = out
        self._each = each
        self._screen = progress if progress.isatty() else None
        self._stop = stop
        self._next_look = 0.0

    def groups(self, state: str | None) -> None:
        """What is set aside, in groups with one cause."""
        groups = [group for group in set_aside_groups.groups() if state in {None, group.state}]
        self._print(report.listed(groups) if groups else ["nothing is set aside"])

    def show(self, row_id: int) -> None:
        """All that is known of one message."""
        row = SetAside.objects.filter(id=row_id).first()
        if row is None:
            raise Unfinished(f"no message {row_id}; `set_aside list` shows which there are")
        self._print(report.shown(row))

    def replay(self, choice: Choice, order: Order, *, rate: float, dry_run: bool) -> None:
        """Try messages now; `rate` a second at most, 0 for no limit."""
        if not 0 <= rate < math.inf:
            raise Unfinished(f"--rate: expected messages a second, got {rate}", exit_code=2)
        if order.again:
            _need(order.reason, "--again")
        ids = bulk_replay.least_tried_first(choice.rows("replay"))
        if not ids:
            self._print(["there is nothing to replay"])
        elif dry_run:
            self._rehearse(ids, order)
        else:
            self._replay(ids, order, rate)

    def discard(self, choice: Choice, order: Order, *, dry_run: bool) -> None:
        """Give messages up."""
        _need(order.reason, "discard")
        ids = set_aside_choice.oldest_first(choice.rows("discard"))
        steps = decisions.discard(ids, by=order.by, reason=order.reason)
        self._close(ids, steps, "discarded", dry_run=dry_run)

    def restore(self, choice: Choice, order: Order, *, dry_run: bool) -> None:
        """Take messages back that were given up."""
        ids = set_aside_choice.oldest_first(choice.rows("restore"))
        steps = decisions.restore(ids, by=order.by, reason=order.reason)
        self._close(ids, steps, "restored", dry_run=dry_run)

    def go_on(self, group: str, order: Order) -> None:
        """Let a consumer that holds set aside what fails with this cause."""
        _need(order.reason, "go-on")
        cause = set_aside_groups.named(group)
        decisions.go_on(cause, by=order.by, reason=order.reason)
        self._print(
            [f"for an hour, consumers set aside what fails with {cause} instead of holding it"]
        )

    def _rehearse(self, ids: Sequence[int], order: Order) -> None:
        canaries.compare()

        def tried() -> Iterator[ReplayResult]:
            for row_id in ids:
                if self._stop:
                    return
                yield trial(row_id, order)

        answers, ended = self._watched(tried(), len(ids))
        self._print([f"{len(answers):,} messages tried and rolled back: nothing has changed"])
        self._report(answers, report.WOULD)
        if ended or len(answers) < len(ids):
            raise Unfinished(ended or "stopped before the end", exit_code=3)

    def _replay(self, ids: Sequence[int], order: Order, rate: float) -> None:
        canaries.check()  # a handler may seal and send
        steps = bulk_replay.replayed(ids, order, self._stop, rate=rate)
        answers, ended = self._watched(steps, len(ids))
        self._print([f"{len(answers):,} of {len(ids):,} messages replayed"])
        self._report(answers, report.HAS)
        if ended or len(answers) < len(ids):
            raise Unfinished(
                f"{ended or 'asked to stop'}: {len(ids) - len(answers):,} messages are as they "
                "were; run the same command again to go on with them",
                exit_code=3,
            )
        if left := sum(not answer.closes for answer in answers):
            raise Unfinished(f"not closed: {left:,}; `set_aside list` shows what waits")

    def _report(self, answers: Sequence[ReplayResult], words: dict[Verdict, str]) -> None:
        if self._each:
            self._print(report.each(answers, words))
        self._print(report.summed_up(answers, words))

    def _close(self, ids: Sequence[int], steps: Iterator[int], done: str, *, dry_run: bool) -> None:
        if dry_run:
            self._print([f"would be {done}: {len(ids):,}; nothing has changed"])
            return
        count = 0
        for some in steps:
            count += some
            self._progress(count, len(ids), done)
        self._end_of_progress()
        self._print([f"{count:,} of {len(ids):,} messages {done}"])
        if count < len(ids):
            raise Unfinished("the others are not there, or in a state that does not allow it")

    def _watched(self, steps: Iterable[ReplayResult], total: int) -> tuple[list[ReplayResult], str]:
        """All answers, and why there are no more if that was not for lack of messages."""
        answers: list[ReplayResult] = []
        back = 0
        try:
            for answer in steps:
                answers.append(answer)
                back += answer.came_back
                self._progress(len(answers), total, f"{back:,} not applied")
        except (bulk_replay.TooManyCameBack, outage.LetGo) as error:
            return answers, str(error)
        finally:
            self._end_of_progress()
        return answers, ""

    def _progress(self, done: int, total: int, what: str) -> None:
        if self._screen is None or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + REDRAW
        bar = "#" * (BAR * done // max(1, total))
        self._screen.write(f"\r\x1b[K[{bar:.<{BAR}}] {done:,} of {total:,}, {what}")
        self._screen.flush()

    def _end_of_progress(self) -> None:
        if self._screen is not None:
            self._screen.write("\r\x1b[K")
            self._screen.flush()

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._out.write(f"{harmless(line)}\n")


def _need(reason: str, what: str) -> None:
    if not reason.strip():
        raise Unfinished(f'{what} needs --reason "…": it is kept with the message for ever')
