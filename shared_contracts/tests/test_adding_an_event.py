"""Checks of the steps by which an event is added (docs/development.md).

Other steps are checked in test_files.py, in test_topology.py and by `manage.py check`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from admit_one.contract import Event
from shared_contracts.topology import TOPOLOGY

ROOT = Path(__file__).resolve().parents[2]

PUBLISHED = [(s.name, event) for s in TOPOLOGY.values() for event in s.publishes]
HANDLED = [(s.name, event) for s in TOPOLOGY.values() for event in s.handles]


def named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def use_cases(service: str) -> list[ast.Module]:
    files = [
        path
        for path in (ROOT / service).rglob("*.py")
        if not {"tests", ".venv", "migrations"} & set(path.parts)
    ]
    return [ast.parse(path.read_text(encoding="utf-8")) for path in files]


def makes(module: ast.Module, event: type[Event]) -> bool:
    """Whether the module constructs the event anywhere."""
    calls = (node for node in ast.walk(module) if isinstance(node, ast.Call))
    return any(isinstance(c.func, ast.Name) and c.func.id == event.__name__ for c in calls)


@pytest.mark.parametrize(("service", "event"), PUBLISHED, ids=named)
def test_a_use_case_of_its_producer_makes_the_event(service: str, event: type[Event]) -> None:
    assert any(makes(module, event) for module in use_cases(service)), (
        f"{event.type} names {service} as its producer, but no module constructs it: publish it "
        "in a use case, or remove the event"
    )


@pytest.mark.parametrize(("service", "event"), [*PUBLISHED, *HANDLED], ids=named)
def test_the_contract_tests_of_both_sides_know_the_golden_message(
    service: str, event: type[Event]
) -> None:
    tests = (ROOT / service / "tests" / "test_contracts.py").read_text(encoding="utf-8")

    assert event.type in tests or f"golden({event.__name__})" in tests, (
        f"{service}/tests/test_contracts.py: expected a test that uses the golden {event.type}"
    )
