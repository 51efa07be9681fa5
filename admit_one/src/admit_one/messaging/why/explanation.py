"""The answer to `manage.py why`, for people in a terminal and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from enum import IntEnum
from typing import Any

from admit_one.masking import harmless, mask
from admit_one.messaging import conf
from admit_one.messaging.broker import doctor

from . import timeline
from .timeline import Timeline


class Standing(IntEnum):
    """The state of a subject here; the value is the exit code."""

    FINISHED = 0
    WAITS = 1
    UNKNOWN = 2


@dataclass(frozen=True)
class Explanation:
    subject: str
    timeline: Timeline
    notes: tuple[str, ...]

    @property
    def standing(self) -> Standing:
        if not self.timeline.steps:
            return Standing.UNKNOWN
        return Standing.WAITS if self.timeline.waits else Standing.FINISHED

    def as_json(self) -> dict[str, Any]:
        """For programs; `make why` merges it with the other side's."""
        return {
            "service": conf.current().SERVICE,
            "subject": mask(self.subject),  # somebody may ask with an address
            "standing": self.standing.name.lower(),
            "steps": [{"at": s.at.isoformat(), "what": s.what} for s in self.timeline.steps],
            "waits": [
                {"why": w.why, "then": w.then, "stuck": w.stuck} for w in self.timeline.waits
            ],
            "notes": list(self.notes),
            "unseen": self.timeline.unseen,
        }

    def lines(self, width: int) -> Iterator[str]:
        """For a terminal of this width; readable from 40 columns."""
        yield conf.current().SERVICE
        yield from _wrapped(harmless(self.subject), width)
        if self.standing is Standing.UNKNOWN:
            yield ""
            yield from _wrapped("Nothing is known about it here.", width)
        day = None
        for step in self.timeline.steps:
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
        for wait in self.timeline.waits:
            yield "Stuck" if wait.stuck else "Waits"
            yield from _wrapped(f"  {wait.why}", width, 2)
            yield from _wrapped(f"  → {wait.then}", width, 4)
        for title, texts in (
            ("The queues", self.notes),
            ("Not seen from here", self.timeline.unseen),
        ):
            if texts and (title != "The queues" or self.timeline.waits):
                yield ""
                yield title
                for text in texts:
                    yield from _wrapped(f"  {text}", width, 2)


def explain(given: str) -> Explanation:
    """What is known here of a subject; `given` is its id, or that of an event about it."""
    subject, seen = timeline.subject_of(given), doctor.look()
    return Explanation(subject, timeline.of(subject, seen.broker_error), seen.notes)


def _wrapped(text: str, width: int, hang: int = 0) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=" " * hang, break_on_hyphens=False, drop_whitespace=True
    )
