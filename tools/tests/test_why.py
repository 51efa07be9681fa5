"""`make why` merges the reports of both services."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tools.demo import why
from tools.system.backends import Backends
from tools.system.system import System

SUBJECT = "019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"


def half(service: str, standing: str, **changes: Any) -> why.Half:
    return {
        "service": service,
        "subject": SUBJECT,
        "standing": standing,
        "steps": [],
        "waits": [],
        "notes": [],
        "unseen": [],
    } | changes


def shown(*sides: why.Half, width: int = 80) -> str:
    out = io.StringIO()
    why.show(sides, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_the_steps_of_both_sides_are_ordered_by_time() -> None:
    steps = [
        {"at": "2026-01-02T03:04:07+00:00", "what": "the third"},
        {"at": "2026-01-02T03:04:05+00:00", "what": "the first"},
    ]
    other = [{"at": "2026-01-02T03:04:06+00:00", "what": "the second"}]
    screen = shown(
        half("payment_service", "finished", steps=steps),
        half("student_service", "finished", steps=other),
    )

    assert screen.index("the first") < screen.index("the second") < screen.index("the third")
    assert "payment has finished" in screen


def test_waits_are_shown_with_what_happens_next_even_on_narrow_screens() -> None:
    wait = {
        "why": "no code yet " * 9,
        "then": "It retries at 03:19:05 UTC.",
        "stuck": False,
    }
    screen = shown(
        half("payment_service", "waits", waits=[wait], notes=["Nobody consumes it."]),
        half("student_service", "unknown"),
        width=40,
    )

    assert "payment waits" in screen
    assert "→ It retries at 03:19:05 UTC." in screen
    assert "student has no record of it" in screen
    assert "Nobody consumes it." in screen
    assert max(map(len, screen.splitlines())) <= 40


@pytest.mark.parametrize(
    ("payment", "student", "code"),
    [
        ("finished", "finished", 0),
        ("finished", "waits", 1),
        ("waits", "unknown", 1),
        ("finished", "unknown", 1),
        ("unknown", "unknown", 2),
    ],
)
def test_the_exit_code_depends_on_both_sides(payment: str, student: str, code: int) -> None:
    sides = [half("payment_service", payment), half("student_service", student)]

    assert why.exit_code(sides) == code


def test_both_services_answer_with_their_own_settings(tmp_path: Path) -> None:
    system = System(tmp_path, Backends.embedded(tmp_path))
    system.migrate()

    sides = why.both_halves(system, SUBJECT)

    assert [side["service"] for side in sides] == ["payment_service", "student_service"]
    assert why.exit_code(sides) == 2
