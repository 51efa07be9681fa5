"""What operators read about set-aside messages, as lines of text. No body, no address, no code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from admit_one.messaging.models import SetAside

from . import acts
from .groups import Group, short
from .replay import ReplayResult, Verdict

EXAMPLES = 3
"""Messages of one kind that are named in a summary."""

WIDEST = 100
"""Characters of a reason in a list; `show` has all of it."""

WOULD = {
    Verdict.APPLIED: "would be applied",
    Verdict.DUPLICATE: "handled already: would only be closed",
    Verdict.UNREADABLE: "still unreadable",
    Verdict.NO_HANDLER: "no handler knows this type",
    Verdict.CONTRADICTS: "its id was handled with another body",
    Verdict.REJECTED: "would be rejected",
    Verdict.FAILED: "would fail again",
    Verdict.SKIPPED: "would not be tried",
}
HAS = {
    **WOULD,
    Verdict.APPLIED: "applied",
    Verdict.DUPLICATE: "handled already: only closed",
    Verdict.NO_HANDLER: "still no handler for this type",
    Verdict.REJECTED: "rejected",
    Verdict.FAILED: "failed again",
    Verdict.SKIPPED: "not tried",
}


def listed(groups: Iterable[Group]) -> Iterator[str]:
    """Two lines for each group: how many and since when; and one of them."""
    yield "group   state       count  came back  oldest (UTC)      cause"
    for group in groups:
        back = f"{group.came_back:,}" if group.came_back else "-"
        yield (
            f"{group.name:6}  {group.state:9}  {group.count:>6,}  {back:>9}  "
            f"{_minute(group.oldest)}  {group.fingerprint}"
        )
        row = group.example
        yield f"        such as {row.id}, {row.type or 'unreadable'}: {cut(row.reason)}"


def shown(row: SetAside) -> Iterator[str]:
    """All that is known of one message, and everything that happened to it, in order."""
    for name, value in facts(row).items():
        yield f"{name:9} {value}"
    yield "what happened (UTC)"
    yield from (f"  {at}  {what}" for at, what in story(row))
    if row.traceback:
        yield from row.traceback.rstrip().splitlines()


def facts(row: SetAside) -> dict[str, str]:
    """What one message is, where it stands and why, by name."""
    due = f"{row.next_attempt_at:%Y-%m-%d %H:%M:%S}" if row.next_attempt_at else "not by itself"
    notes = [
        "may have ended its consumer" if row.suspect else "",
        f"came back, replayed {row.replays} x" if row.came_back else "",
    ]
    noted = ", ".join(filter(None, notes))
    return {
        "state": f"{row.state} ({noted})" if noted else row.state,
        "group": f"{short(row.fingerprint)}  {row.fingerprint}",
        "event": f"{row.type or 'unreadable'} {row.event_id} from {row.source or '?'}",
        "about": row.subject or "?",
        "queue": row.queue,
        "reason": f"{row.error}: {row.reason}",
        "attempts": str(row.attempts),
        "next try": due,
        "headers": str(row.headers),
    }


def story(row: SetAside) -> list[tuple[str, str]]:
    """Each try and each act of an operator: when (ISO 8601, UTC) and what came of it, in order."""
    return sorted([*_tries(row), *_acts(row)])


def _tries(row: SetAside) -> Iterator[tuple[str, str]]:
    for entry in row.history:
        what = entry.get("result") or f"{entry['error']}: {entry['reason']}"
        yield entry["at"].partition("+")[0], what


def _acts(row: SetAside) -> Iterator[tuple[str, str]]:
    for act in acts.on(row.id):
        why = f", because: {act.reason}" if act.reason else ""
        what = act.result or "no answer: its process ended, or its database went away"
        detail = f": {act.detail}" if act.detail else ""
        at = act.at.isoformat(timespec="milliseconds").partition("+")[0]
        yield at, f"{act.action} by {act.by}{why}: {what}{detail}"


def summed_up(answers: Iterable[ReplayResult], words: dict[Verdict, str]) -> Iterator[str]:
    """How many of each kind, and examples with the reason of those that were not applied."""
    kinds: dict[tuple[Verdict, str], list[ReplayResult]] = defaultdict(list)
    for answer in answers:
        kinds[answer.verdict, answer.fingerprint].append(answer)
    order = list(Verdict)
    for (verdict, cause), same in sorted(kinds.items(), key=lambda kind: order.index(kind[0][0])):
        yield f"{len(same):>9,}  {words[verdict]}{f'  ({cause})' if cause else ''}"
        if same[0].closes:
            continue
        for answer in same[:EXAMPLES]:
            yield f"           {answer.id}: {cut(answer.reason)}"
        if len(same) > EXAMPLES:
            yield f"           and {len(same) - EXAMPLES:,} more"


def each(answers: Iterable[ReplayResult], words: dict[Verdict, str]) -> Iterator[str]:
    """A line for each message."""
    for answer in answers:
        reason = f": {cut(answer.reason)}" if answer.reason else ""
        yield f"{answer.id:>9}  {words[answer.verdict]}{reason}"


def cut(text: str) -> str:
    """`text` as one line of at most `WIDEST` characters."""
    line = " ".join(text.split())
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
