"""What operators read about set-aside messages, in lines without bodies, addresses or codes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from admit_one.messaging.models import SetAside

from . import acts
from .groups import Group, short
from .replay_results import ReplayResult, ReplayVerdict

EXAMPLES = 3
"""Messages of one kind that a summary names."""

WIDEST = 100
"""Characters of a reason in a list; `show` prints all of it."""

WOULD = {
    ReplayVerdict.APPLIED: "would be applied",
    ReplayVerdict.DUPLICATE: "handled already: would only be closed",
    ReplayVerdict.UNREADABLE: "still unreadable",
    ReplayVerdict.NO_HANDLER: "no handler or no key for it",
    ReplayVerdict.CONTRADICTS: "its id was handled with another body",
    ReplayVerdict.REFUSED: "nothing proves who sent it",
    ReplayVerdict.REJECTED: "would be rejected",
    ReplayVerdict.FAILED: "would fail again",
    ReplayVerdict.SKIPPED: "would not be tried",
}
HAS = {
    **WOULD,
    ReplayVerdict.APPLIED: "applied",
    ReplayVerdict.DUPLICATE: "handled already: only closed",
    ReplayVerdict.NO_HANDLER: "still no handler or no key for it",
    ReplayVerdict.REJECTED: "rejected",
    ReplayVerdict.FAILED: "failed again",
    ReplayVerdict.SKIPPED: "not tried",
}


def listed(groups: Iterable[Group]) -> Iterator[str]:
    """Two lines for each group: its numbers and cause, and an example."""
    yield "group   state       count  failed again  oldest (UTC)      cause"
    for group in groups:
        failed = f"{group.failed_again:,}" if group.failed_again else "-"
        yield (
            f"{group.name:6}  {group.state:9}  {group.count:>6,}  {failed:>12}  "
            f"{group.oldest:%Y-%m-%d %H:%M}  {group.fingerprint}"
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
    """What one message is, its state and why, by name."""
    due = f"{row.next_attempt_at:%Y-%m-%d %H:%M:%S}" if row.next_attempt_at else "none"
    notes = [
        "may have killed its consumer" if row.suspect else "",
        f"replayed {row.replays} x and failed again" if row.failed_again else "",
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
        "retry at": due,
        "headers": str(row.headers),
    }


def story(row: SetAside) -> list[tuple[str, str]]:
    """Each attempt and each act of an operator: when (ISO 8601, UTC) and its result, in order."""
    return sorted([*_tries(row), *_acts(row)])


def _tries(row: SetAside) -> Iterator[tuple[str, str]]:
    for entry in row.history:
        what = entry.get("result") or f"{entry['error']}: {entry['reason']}"
        yield entry["at"].partition("+")[0], what


def _acts(row: SetAside) -> Iterator[tuple[str, str]]:
    for act in acts.on(row.id):
        why = f", because: {act.reason}" if act.reason else ""
        what = act.result or "no result: its process died, or lost its database"
        detail = f": {act.detail}" if act.detail else ""
        at = act.at.isoformat(timespec="milliseconds").partition("+")[0]
        yield at, f"{act.action} by {act.by}{why}: {what}{detail}"


def summed_up(answers: Iterable[ReplayResult], words: dict[ReplayVerdict, str]) -> Iterator[str]:
    """How many of each result, and examples with reasons of those that were not applied."""
    kinds: dict[tuple[ReplayVerdict, str], list[ReplayResult]] = defaultdict(list)
    for answer in answers:
        kinds[answer.verdict, answer.fingerprint].append(answer)
    order = list(ReplayVerdict)
    for (verdict, cause), same in sorted(kinds.items(), key=lambda kind: order.index(kind[0][0])):
        yield f"{len(same):>9,}  {words[verdict]}{f'  ({cause})' if cause else ''}"
        if same[0].closes:
            continue
        for answer in same[:EXAMPLES]:
            yield f"           {answer.id}: {cut(answer.reason)}"
        if len(same) > EXAMPLES:
            yield f"           and {len(same) - EXAMPLES:,} more"


def each(answers: Iterable[ReplayResult], words: dict[ReplayVerdict, str]) -> Iterator[str]:
    """A line for each message."""
    for answer in answers:
        reason = f": {cut(answer.reason)}" if answer.reason else ""
        yield f"{answer.id:>9}  {words[answer.verdict]}{reason}"


def cut(text: str) -> str:
    """`text` as one line of at most `WIDEST` characters."""
    line = " ".join(text.split())
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
