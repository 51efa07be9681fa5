"""The output of a run: a progress line, and a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .result import ChaosResult, Progress

SHOW_EVERY = 30.0
"""Seconds between two progress lines if the output is not a terminal."""

MAX_FINDINGS = 30


def progress(console: Console) -> Progress:
    """A line that is rewritten in place on a terminal, and printed every `SHOW_EVERY` elsewhere."""
    last = 0.0

    def show(seconds: float, result: ChaosResult, active: Sequence[str]) -> None:
        nonlocal last
        whole = result.options.seconds
        line = (
            f"{min(seconds, whole):4.0f} of {whole:.0f} s  {result.accepted:,} accepted  "
            f"{result.faults.total()} faults  "
        )
        line += ", ".join(active) if seconds < whole else f"recovering {seconds - whole:.0f} s"
        if console.is_terminal:
            print(f"\r\x1b[2K  {line[: console.width - 3]}", end="", flush=True, file=sys.stdout)
        elif seconds - last >= SHOW_EVERY:
            last = seconds
            console.print(Text(f"  {line}"), soft_wrap=True)

    return show


def show(console: Console, result: ChaosResult) -> None:
    """Print the table and the findings."""
    if console.is_terminal:
        print("\r\x1b[2K", end="", flush=True)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(justify="left")
    table.add_column(justify="right")
    for row in rows(result):
        table.add_row(*row)
    console.print(table)
    if result.reconciled:
        console.print(Text("\nmanage.py reconcile --repair", "bold"))
        for line in result.reconciled:
            console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()
    for what in result.findings()[:MAX_FINDINGS]:
        console.print(Text.assemble(("✗ ", "red"), what), soft_wrap=True)
    if result.is_clean:
        console.print(Text("✓ nothing lost, doubled, unaccounted for or leaked", "green"))


def rows(result: ChaosResult) -> list[tuple[str | Text, str | Text]]:
    """The rows of the table."""
    verdict = result.verdict
    faults = [(f"  {name}", f"{count:,}") for name, count in sorted(result.faults.items())]
    published = [(f"  {name}", f"{count:,}") for name, count in sorted(result.published.items())]
    return [
        (Text("Load", "bold"), f"{result.options.seconds:.0f} s"),
        ("  subscriptions accepted", f"{result.accepted:,}"),
        ("  of which cancelled", f"{result.cancelled:,}"),
        ("  codes redeemed", f"{result.redeemed:,}"),
        ("  codes replaced", f"{result.replaced:,}"),
        ("  sales through Stripe", f"{result.sales:,}"),
        ("  forged events refused", f"{result.forged:,}"),
        ("  subscriptions erased", f"{result.erased:,}"),
        ("  requests sent", f"{result.requests:,}"),
        ("  webhooks received", f"{result.webhooks:,}"),
        ("  mails received", f"{result.mails:,}"),
        *(
            [(Text("Published by third parties", "bold"), f"{result.published.total():,}")]
            if published
            else []
        ),
        *published,
        (Text("Faults", "bold"), f"{result.faults.total():,}"),
        *faults,
        ("  processes restarted", f"{result.restarts:,}"),
        (Text("Found", "bold"), ""),
        _found("  lost", len(verdict.lost)),
        *_lost_by_broker(result),
        _found("  doubled", len(verdict.doubled)),
        _found("  unaccounted for", len(verdict.unaccounted)),
        _found("  leaked", len(verdict.leaked)),
        (
            f"  duplicate mails, of {result.mails_in_doubt} allowed",
            f"{verdict.duplicate_mails:,}",
        ),
        ("  time to recover", f"{result.recovered_after:.1f} s"),
        ("  seed", str(result.options.seed)),
    ]


def _lost_by_broker(result: ChaosResult) -> list[tuple[str, str]]:
    if not result.options.repair:
        return []
    return [("  confirmed, then lost by the broker", f"{result.verdict.lost_by_broker:,}")]


def _found(what: str, count: int) -> tuple[Text, Text]:
    style = "bold red" if count else "green"
    return Text(what), Text(f"{count:,}", style)
