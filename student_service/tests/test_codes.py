from __future__ import annotations

import re

import pytest
from access_codes import codes
from hypothesis import given
from hypothesis import strategies as st
from shared_contracts.events import CODE_PATTERN


def test_a_new_code_matches_the_pattern_of_the_contract() -> None:
    assert re.fullmatch(CODE_PATTERN, codes.make())


def test_codes_use_the_whole_alphabet_and_do_not_repeat() -> None:
    made = [codes.make() for _ in range(2_000)]

    assert len(set(made)) == 2_000
    assert set("".join(made)) == set(codes.ALPHABET) | {"-"}


@pytest.mark.parametrize(
    "typed",
    [
        "7K3M-Q9TX-2WBD-0101",
        "7k3m-q9tx-2wbd-0101",
        "7K3M Q9TX 2WBD 0101",
        "7K3MQ9TX2WBD0101",
        " 7k3m-q9tx-2wbd-OiOl ",
        "7K3M\u2011Q9TX\u20132WBD\u00a0oLoI",
    ],
)
def test_case_spaces_hyphens_and_look_alikes_do_not_matter(typed: str) -> None:
    assert codes.normalise(typed) == "7K3M-Q9TX-2WBD-0101"


@given(st.text(codes.ALPHABET, min_size=16, max_size=16))
def test_a_code_is_its_own_normal_form(characters: str) -> None:
    code = codes.normalise(characters)

    assert codes.normalise(code) == code
    assert codes.normalise(code.lower().replace("0", "o").replace("1", "l")) == code


@pytest.mark.parametrize(
    "typed", ["", "7K3M", "7K3M-Q9TX-2WBD-H5RU", "7K3M-Q9TX-2WBD-H5RNN", "ß" * 16]
)
def test_an_invalid_code_is_refused_and_not_repeated_in_the_error(typed: str) -> None:
    with pytest.raises(ValueError, match="expected 16 letters and digits") as error:
        codes.normalise(typed)

    assert not typed or typed not in str(error.value)


def test_the_lookup_hash_does_not_depend_on_how_the_code_is_typed() -> None:
    code = codes.make()

    assert codes.lookup(code) == codes.lookup(codes.normalise(code.lower()))
    assert len(codes.lookup(code)) == 32
