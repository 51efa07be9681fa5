"""Shows the results on the terminal, and writes them to the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .contender import CRASH_POINTS
from .performance import POISONED, ContenderResult, Cost

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
COSTS = ("", "lines", *CRASH_POINTS)
AFTERWARDS = ("", "failed message", "replay", "replayed")


def show(console: Console, outcomes: Sequence[ContenderResult], facts: Mapping[str, str]) -> None:
    for title, columns, rows in (
        ("Lost / doubled, of the orders paid", COSTS, _costs(outcomes)),
        ("A message whose handler always fails", AFTERWARDS, _afterwards(outcomes)),
    ):
        table = Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for name, value in facts.items():
        console.print(f"[bold]{name}:[/] {value}")


def write(file: Path, outcomes: Sequence[ContenderResult], facts: Mapping[str, str]) -> None:
    """Write the tables between the two marks of a document. Raises `ValueError` without marks."""
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{file}: expected the lines {BEGIN} and {END}")
    parts = [
        _markdown(COSTS, _costs(outcomes)),
        _markdown(AFTERWARDS, _afterwards(outcomes)),
        "\n".join(f"- {name}: {value}." for name, value in facts.items()),
    ]
    file.write_text("\n\n".join([before + begin, *parts, end + after]), encoding="utf-8")


def _costs(outcomes: Sequence[ContenderResult]) -> list[list[str]]:
    rows = []
    for outcome in outcomes:
        cells = [_cost(outcome.costs.get(point)) for point in CRASH_POINTS]
        rows.append([outcome.contender.title, str(outcome.lines), *cells])
    return rows


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "not run"
    if not cost.kills:
        return "not reached"
    return f"{cost.lost} / {cost.doubled} of {cost.paid}"


def _afterwards(outcomes: Sequence[ContenderResult]) -> list[list[str]]:
    rows = []
    for outcome in outcomes:
        failed = outcome.contender.failed
        if outcome.error:
            rows.append([outcome.contender.title, f"not run: {outcome.error}", "", ""])
            continue
        kept = f", {outcome.seen} of {POISONED}" if failed.queue or failed.table else ""
        replayed = f"{outcome.replayed} of {POISONED}"
        rows.append(
            [outcome.contender.title, failed.where + kept, failed.replay or "none", replayed]
        )
    return rows


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
