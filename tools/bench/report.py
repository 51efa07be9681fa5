"""The results as tables in 80 columns, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .results import CONTENDERS, FIGURES, PRODUCT, Results


def show(
    console: Console, results: Results, peaks: Mapping[str, int], facts: Mapping[str, object]
) -> None:
    parts: list[RenderableType] = [_figures(results)]
    if results.targets():
        parts.append(_targets(results))
    if peaks:
        parts.append(_memory(peaks))
    console.print(Group(*(Padding(part, (1, 0, 0, 0)) for part in parts)))
    console.print()
    for figure in FIGURES:
        if figure.name in results.samples:
            console.print(Text.assemble((f"{figure.title}: ", "bold"), figure.what))
    console.print()
    for name, value in facts.items():
        console.print(Text.assemble((f"{name}: ", "bold"), _fact(value)))


def write(
    file: Path, results: Results, peaks: Mapping[str, int], facts: Mapping[str, object]
) -> None:
    """Write the results with every sample as JSON."""
    document = {
        "facts": facts,
        "figures": results.as_json(),
        "targets": [asdict(target) for target in results.targets()],
        "peak_memory_bytes": peaks,
    }
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _figures(results: Results) -> Table:
    table = _table("Measured (median of the rounds)", *CONTENDERS)
    for figure in FIGURES:
        medians = [results.median(figure, contender) for contender in CONTENDERS]
        if any(value is not None for value in medians):
            table.add_row(figure.title, *(_number(value, figure.unit) for value in medians))
    return table


def _targets(results: Results) -> Table:
    table = _table("Compared, round by round", "reached", "wanted", "")
    for target in results.targets():
        verdict = Text("yes", "green") if target.met else Text("no", "red")
        table.add_row(target.title, _number(target.value, target.unit), target.wanted, verdict)
    return table


def _memory(peaks: Mapping[str, int]) -> Table:
    table = _table("Peak memory of each process (VmHWM)", PRODUCT)
    for name, peak in sorted(peaks.items()):
        table.add_row(name, f"{peak / 2**20:,.0f} MiB")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text(title, "bold"), min_width=40)
    for column in columns:
        table.add_column(column, justify="right", min_width=9)
    return table


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 1 if unit in {"ms", "×", "%"} else 0
    return f"{value:,.{digits}f} {unit}"
