"""The chaos checker finds what is left of an erased person, and what is lost with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests_integration.chaos.verdict.checker import verify
from tests_integration.chaos.verdict.evidence import Evidence
from tests_integration.chaos.verdict.examples import (
    AN_ID,
    CANCELLED,
    ONE,
    TWO,
    clean_run,
    clean_run_with_erasure,
)

WRONG: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "an erasure that one side has lost": (
        lambda _: replace(
            clean_run_with_erasure(),
            tombstones={"payment_service": {TWO: True}, "student_service": {}},
        ),
        "lost: the erasure of subscription s2 by student_service",
    ),
    "an erasure that is never confirmed": (
        lambda _: replace(
            clean_run_with_erasure(),
            tombstones={"payment_service": {TWO: False}, "student_service": {TWO: True}},
        ),
        "lost: the erasure of subscription s2 by payment_service",
    ),
    "an erasure of somebody else": (
        lambda run: replace(run, tombstones={**run.tombstones, "student_service": {ONE: True}}),
        "unaccounted: nobody erased subscription s1 on student_service",
    ),
    "a user who stands there after the erasure": (
        lambda _: replace(clean_run_with_erasure(), recorded={ONE: "u1", TWO: "u2"}),
        "leaked: the user of the erased subscription s2",
    ),
    "a code that is shown after the erasure": (
        lambda _: replace(clean_run_with_erasure(), shown={ONE: "C-1", TWO: "C-2"}),
        "leaked: the code of the erased subscription s2",
    ),
    "a code that lets in after the erasure": (
        lambda _: replace(clean_run_with_erasure(), lets_in={TWO: {"C-2"}}),
        "doubled: a code of the erased subscription s2 lets in",
    ),
    "an event that is lost after an erasure": (
        lambda _: replace(clean_run_with_erasure(), received=clean_run().received),
        f"lost: {CANCELLED.type} of {AN_ID} was not reported to "
        "/payment_service/shop/accepting/good",
    ),
    "another person's code that is lost with an erasure": (
        lambda _: replace(clean_run_with_erasure(), shown={ONE: None, TWO: None}),
        "lost: subscription s1 has no code",
    ),
}


def test_a_clean_run_with_an_erased_person_has_no_findings() -> None:
    assert list(verify(clean_run_with_erasure(), 0).findings()) == []


@pytest.mark.parametrize("what", WRONG)
def test_each_problem_is_found(what: str) -> None:
    change, finding = WRONG[what]

    assert finding in list(verify(change(clean_run()), 0).findings())
