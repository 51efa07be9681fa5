"""The answer to `manage.py why`, for people in a terminal and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from enum import IntEnum
from typing import Any

from admit_one.messaging import conf
from admit_one.messaging.broker import queues

from . import timeline
from .timeline import Report


class Standing(IntEnum):
    """Where it stands; the value is the exit code."""

    FINISHED = 0
    WAITS = 1
    UNKNOWN = 2


@dataclass(frozen=True)
class Answer:
    subject: str
    report: Report
    notes: tuple[str, ...]

    @property
    def standing(self) -> Standing:
        if not self.report.steps:
            return Standing.UNKNOWN
        return Standing.WAITS if self.report.waits else Standing.FINISHED

    def as_json(self) -> dict[str, Any]:
        """What `make why` joins with the other side's."""
        return {
            "service": conf.current().SERVICE,
            "subject": self.subject,
            "standing": self.standing.name.lower(),
            "steps": [{"at": s.at.isoformat(), "what": s.what} for s in self.report.steps],
            "waits": [{"why": w.why, "then": w.then, "stuck": w.stuck} for w in self.report.waits],
            "notes": list(self.notes),
            "unseen": self.report.unseen,
        }

    def lines(self, width: int) -> Iterator[str]:
        """For a terminal of this width; readable from 40 columns."""
        yield conf.current().SERVICE
        yield from _wrapped(self.subject, width)
        if self.standing is Standing.UNKNOWN:
            yield ""
            yield from _wrapped("Nothing is known about it here.", width)
        day = None
        for step in self.report.steps:
            at = step.at.astimezone(UTC)
            if at.date() != day:
                day = at.date()
                yield ""
                yield f"{day:%Y-%m-%d}, UTC"
            yield from _wrapped(
                f"{at:%H:%M:%S}.{at.microsecond // 1000:03}  {step.what}", width, 14
            )
        yield ""
        if self.standing is Standing.FINISHED:
            yield "Finished: nothing waits here."
        for wait in self.report.waits:
            yield "Stuck" if wait.stuck else "Waits"
            yield from _wrapped(f"  {wait.why}", width, 2)
            yield from _wrapped(f"  → {wait.then}", width, 4)
        for title, texts in (
            ("The queues", self.notes),
            ("Not seen from here", self.report.unseen),
        ):
            if texts and (title != "The queues" or self.report.waits):
                yield ""
                yield title
                for text in texts:
                    yield from _wrapped(f"  {text}", width, 2)


def answer(given: str) -> Answer:
    """What is known here of a subject, or of that of the event with this id."""
    subject, seen = timeline.subject_of(given), queues.look()
    return Answer(subject, timeline.report(subject, seen.away), seen.notes)


def _wrapped(text: str, width: int, hang: int = 0) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=" " * hang, break_on_hyphens=False, drop_whitespace=True
    )
