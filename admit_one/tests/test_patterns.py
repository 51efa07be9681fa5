"""A pattern that another language does not compile is named before another team meets it."""

from __future__ import annotations

import pytest
from admit_one.contract import patterns


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"^[^@\"]+$", r"the escape \""),
        (r"^[\-x]$", r"the escape \-"),
        (r"\u00e4", r"the escape \u"),
        (r"(a)\1", r"the escape \1"),
        (r"^a\Z", r"the escape \Z"),
        (r"^(?=.*a)", "the group (?="),
        (r"(?P<name>a)", "the group (?P<"),
        (r"(?i)eur", "the group (?i)"),
        ("[a", "it does not compile"),
    ],
)
def test_what_not_every_language_compiles_is_named(pattern, says):
    assert says in patterns.unportable(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^[A-Z]{3}$",
        r"^\d+(?:\.\d{2})?$",
        r"^[(?!]$",
        r"\(\?\\",
        r"[\]\[\\\x00-\x1f]",
        "[]]",
        "ä",
    ],
)
def test_what_every_language_compiles_is_not(pattern):
    assert patterns.unportable(pattern) == ""


def test_a_character_that_nobody_sees_is_shown_as_its_escape():
    assert patterns.visible("a\u2028\x85ä\U000e0001") == "a\\u2028\\u0085ä\\udb40\\udc01"
