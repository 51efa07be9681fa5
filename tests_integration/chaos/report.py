"""How a run is shown: a line while it goes on, and one table at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .result import Progress, Result

SHOW_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""

MOST_FINDINGS = 30


def progress(console: Console) -> Progress:
    """A line that is rewritten every second on a terminal, and follows now and then elsewhere."""
    last = 0.0

    def show(seconds: float, result: Result, present: Sequence[str]) -> None:
        nonlocal last
        whole = result.options.seconds
        line = (
            f"{min(seconds, whole):4.0f} of {whole:.0f} s  {result.accepted:,} accepted  "
            f"{result.faults.total()} faults  "
        )
        line += ", ".join(present) if seconds < whole else f"recovering {seconds - whole:.0f} s"
        if console.is_terminal:
            print(f"\r\x1b[2K  {line[: console.width - 3]}", end="", flush=True, file=sys.stdout)
        elif seconds - last >= SHOW_EVERY:
            last = seconds
            console.print(Text(f"  {line}"), soft_wrap=True)

    return show


def show(console: Console, result: Result) -> None:
    """The table, and what is wrong in words if anything is."""
    if console.is_terminal:
        print("\r\x1b[2K", end="", flush=True)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(justify="left")
    table.add_column(justify="right")
    for row in rows(result):
        table.add_row(*row)
    console.print(table)
    if result.repaired:
        console.print(Text("\nmanage.py reconcile --repair", "bold"))
        for line in result.repaired:
            console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()
    for what in result.findings()[:MOST_FINDINGS]:
        console.print(Text.assemble(("✗ ", "red"), what), soft_wrap=True)
    if result.is_clean:
        console.print(Text("✓ nothing lost, nothing doubled, nothing unaccounted for", "green"))


def rows(result: Result) -> list[tuple[str | Text, str | Text]]:
    """Every line of the table."""
    verdict = result.verdict
    faults = [(f"  {name}", f"{count:,}") for name, count in sorted(result.faults.items())]
    published = [(f"  {name}", f"{count:,}") for name, count in sorted(result.published.items())]
    return [
        (Text("Load", "bold"), f"{result.options.seconds:.0f} s"),
        ("  subscriptions accepted", f"{result.accepted:,}"),
        ("  of them cancelled", f"{result.cancelled:,}"),
        ("  POSTs sent for them", f"{result.requests:,}"),
        ("  mails that came", f"{result.mails:,}"),
        *(
            [(Text("Published by third parties", "bold"), f"{result.published.total():,}")]
            if published
            else []
        ),
        *published,
        (Text("Faults", "bold"), f"{result.faults.total():,}"),
        *faults,
        ("  processes started again", f"{result.restarts:,}"),
        (Text("Found", "bold"), ""),
        _found("  lost", len(verdict.lost)),
        *_repaired(result),
        _found("  doubled", len(verdict.doubled)),
        _found("  unaccounted for", len(verdict.unaccounted)),
        (
            f"  mails that came again, of {result.mails_in_doubt} that may",
            f"{verdict.unknown_mails:,}",
        ),
        ("  time to recover", f"{result.recovered_after:.1f} s"),
        ("  seed", str(result.options.seed)),
    ]


def _repaired(result: Result) -> list[tuple[str, str]]:
    if not result.options.repair:
        return []
    return [
        ("  confirmed by the broker, and lost", f"{result.verdict.forgotten:,}"),
    ]


def _found(what: str, count: int) -> tuple[Text, Text]:
    style = "bold red" if count else "green"
    return Text(what), Text(f"{count:,}", style)
