"""Addresses, codes and passwords do not survive in texts that are kept."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from admit_one.masking import learn, mask, mask_address

from admit_one import masking


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to ada@example.com: refused", "to a…@e….com: refused"),
        ("<ada.lovelace+x@mail.example.co.uk>", "<a…@m….uk>"),
        ("'ada@localhost'", "'a…@l…'"),
        ("Ünï.cödé@exämple.org", "Ü…@e….org"),
        ('{"email":"ada@example.com"}', '{"email":"a…@e….com"}'),
        ("(email)=(ada@example.com) exists", "(email)=(a…@e….com) exists"),
        ("code 7K3M-Q9TX-2WBD-H5RN sent", "code ****-****-****-**** sent"),
        ("it is 7k3m q9tx 2wbd h5rn, sent", "it is ****-****-****-****, sent"),
        ("they have been sent", "they have been sent"),
        ("amqp://user:hunter2@host/vhost", "amqp://***@host/vhost"),
        ("postgres://u:p%40@h:5432/n failed", "postgres://***@h:5432/n failed"),
        ("nothing to hide", "nothing to hide"),
        ("019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01", "019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01"),
    ],
)
def test_sensitive_text_is_masked_and_the_rest_stays(text, masked):
    assert mask(text) == masked


def test_an_address_can_be_recognised_but_not_written_to():
    assert mask_address("ada@example.com") == "a…@e….com"
    assert mask_address("@") == "…@…"


@pytest.mark.parametrize("text", ["x" * 200_000, "x@" * 100_000, "://" * 60_000, "aaaa-" * 50_000])
def test_masking_a_long_hostile_text_is_fast(text):
    """A quadratic pattern would take minutes here; the bound is far from both."""
    started = time.process_time()

    mask(text)

    assert time.process_time() - started < 5


@pytest.fixture
def nothing_learnt(monkeypatch):
    monkeypatch.setattr(masking, "_secrets", set())
    monkeypatch.setattr(masking, "_any_secret", None)


@pytest.mark.usefixtures("nothing_learnt")
@pytest.mark.parametrize("secret", ["hunter2", "p@ss/wörd", 'quo"te\\', "(.*)+(.*)"])
def test_a_learnt_secret_is_masked_however_it_is_written(secret):
    learn([secret])

    for written in (secret, repr(secret)[1:-1], quote(secret), quote(secret, safe="")):
        assert mask(f"before {written} after") == "before *** after"


@pytest.mark.usefixtures("nothing_learnt")
def test_the_longest_secret_is_masked_first():
    learn(["hunter2", "hunter2-and-more"])

    assert mask("hunter2-and-more") == "***"


@pytest.mark.usefixtures("nothing_learnt")
def test_a_very_short_secret_masks_no_ordinary_words():
    learn(["", "guest"])

    assert mask("a guest was refused") == "a guest was refused"
