"""Language tags are read in their usual form, and any other text as none."""

from __future__ import annotations

import pytest
from admit_one.contract.languages import LONGEST_TAG, language_tag
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-at", "de-AT"),
        ("de_AT", "de-AT"),
        ("ZH-hANT-tw", "zh-Hant-TW"),
        ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("es-419", "es-419"),
        *((text, None) for text in ("", "d", "engl", "de-", "-de", "de--AT", "de AT", "de\n")),
        *((text, None) for text in ("de-ÄT", "de,en", "*", "x" * (LONGEST_TAG + 1))),
        (None, None),
    ],
)
def test_a_tag_is_read_in_its_usual_form(text: str | None, tag: str | None) -> None:
    assert language_tag(text) == tag


@given(st.text())
def test_no_text_raises_and_what_is_read_stays_as_it_is(text: str) -> None:
    tag = language_tag(text)

    assert language_tag(tag) == tag
    assert tag is None or len(tag) <= LONGEST_TAG
