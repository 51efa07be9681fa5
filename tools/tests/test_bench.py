"""The bench compares what was measured together, and reports it in 80 columns."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from tools.bench import report
from tools.bench.results import (
    BARE,
    CONTENDERS,
    DRAIN,
    DRAIN_HISTORY,
    FIGURES,
    LATENCY_P50,
    PRODUCT,
    TEXTBOOK,
    Results,
)


def measured() -> Results:
    """Three rounds, on a machine that gets faster from round to round."""
    results = Results()
    for speed in (1, 2, 3):
        results.add(DRAIN, PRODUCT, 900.0 * speed)
        results.add(DRAIN, BARE, 1000.0 * speed)
        results.add(DRAIN, TEXTBOOK, 50.0 * speed)
        results.add(DRAIN_HISTORY, PRODUCT, 855.0 * speed)
    results.add(LATENCY_P50, PRODUCT, 20.0)
    results.add(LATENCY_P50, TEXTBOOK, 16.0)
    return results


def test_figures_are_compared_within_a_round() -> None:
    targets = {target.title: target for target in measured().targets()}

    assert round(targets["Drain, of the bare loop"].value) == 90
    assert round(targets["Drain, times the textbook way"].value) == 18
    assert round(targets["Slower with old rows"].value) == 5


def test_each_target_is_met_or_missed() -> None:
    met = [target.met for target in measured().targets()]

    assert met == [True, True, True, False]


def test_what_was_not_measured_is_not_compared() -> None:
    results = Results()
    results.add(DRAIN, PRODUCT, 900.0)

    assert results.targets() == []


def test_the_report_fits_80_columns() -> None:
    results = measured()
    for figure in FIGURES:
        for contender in CONTENDERS:
            results.add(figure, contender, 12_345.6)
    written = io.StringIO()
    peaks = {"student-consumer": 98_000_000}
    report.show(Console(file=written, width=80), results, peaks, {"Versions": {"python": "3"}})

    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("student-consumer" in line and "93 MiB" in line for line in lines)
    assert all(any(figure.title in line for line in lines) for figure in FIGURES)


def test_the_json_contains_every_sample(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    report.write(file, measured(), {"payment-web": 1}, {"Measured": "today"})
    read = json.loads(file.read_text())

    assert read["figures"]["drain"]["samples"][PRODUCT] == [900.0, 1800.0, 2700.0]
    assert read["figures"]["drain"]["medians"][PRODUCT] == 1800.0
    assert read["peak_memory_bytes"] == {"payment-web": 1}
    assert [target["met"] for target in read["targets"]] == [True, True, True, False]
