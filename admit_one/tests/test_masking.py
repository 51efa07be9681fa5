"""Addresses, codes and passwords are masked in every text that is kept."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
from admit_one.masking import hiding, learn, mask, mask_address

from admit_one import masking


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to ada@example.com: refused", "to a…@e….com: refused"),
        ("<ada.lovelace+x@mail.example.co.uk>", "<a…@m….uk>"),
        ("'ada@localhost'", "'a…@l…'"),
        ("Ünï.cödé@exämple.org", "Ü…@e….org"),
        ('{"email":"ada@example.com"}', '{"email":"a…@e….com"}'),
        ("/v1/x?email=ada%40example.com&y=1", "/v1/x?email=a…@e….com&y=1"),
        ("(email)=(ada@example.com) exists", "(email)=(a…@e….com) exists"),
        ("code 7K3M-Q9TX-2WBD-H5RN sent", "code ****-****-****-**** sent"),
        ("it is 7k3m q9tx 2wbd h5rn, sent", "it is ****-****-****-****, sent"),
        ("it is 7k3m–q9tx–2wbd–h5rn.", "it is ****-****-****-****."),
        ("7K3M - Q9TX - 2WBD - H5RN", "****-****-****-****"),
        ("id_7K3M_Q9TX_2WBD_H5RN", "id_****-****-****-****"),
        ("7K3M.Q9TX.2WBD.H5RN", "****-****-****-****"),
        ("?code=7K3M%20Q9TX%202WBD%20H5RN", "?code=****-****-****-****"),
        ("?code=7K3M+Q9TX+2WBD+H5RN", "?code=****-****-****-****"),
        ("they have been sent", "they have been sent"),
        ("they_have_been_sent 5 times", "they_have_been_sent 5 times"),
        (f"Bearer admit_0123456789ab_{'aB3-_' * 8}xyz", "Bearer admit_0123456789ab_***"),
        (f"admit_test_0123456789ab_{'aB3-_' * 8}xyz", "admit_test_0123456789ab_***"),
        ("amqp://user:hunter2@host/vhost", "amqp://***@host/vhost"),
        ("postgres://u:p%40@h:5432/n failed", "postgres://***@h:5432/n failed"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_sensitive_text_is_masked_and_the_rest_stays(text, masked):
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01",
        "mail <019b7c5e-2a10-7c31-9d0e-5f4b8a6c1e01@admit-one.example> failed",
        "trace 0af7651916cd43dd8448eb211c80319c",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "admit_0123456789ab",
    ],
)
def test_what_people_search_by_is_not_masked(text):
    assert mask(text) == text


@pytest.mark.parametrize("before", [b"", b"u:", b"u:p"])
def test_an_api_key_is_masked_in_base64_too(before):
    written = base64.b64encode(before + b"admit_0123456789ab_" + b"aB3-_" * 8 + b"xyz:").decode()

    masked = mask(f"Authorization: Basic {written}")

    assert written[8:] not in masked
    assert masked.endswith("***")


def test_a_code_in_hand_is_masked_without_its_separators_too():
    with hiding(["7K3M-Q9TX-2WBD-H5RN", "short"]):
        assert mask("7K3MQ9TX2WBDH5RN or 7k3mq9tx-2wbdh5rn is short") == (
            "*** or 7k3mq9tx-2wbdh5rn is short"
        )

    assert mask("7K3MQ9TX2WBDH5RN") == "7K3MQ9TX2WBDH5RN"


def test_an_address_can_be_recognised_but_not_written_to():
    assert mask_address("ada@example.com") == "a…@e….com"
    assert mask_address("@") == "…@…"


@pytest.mark.parametrize(
    "text",
    [
        *("x" * 200_000, "x@" * 100_000, "://" * 60_000, "aaaa-" * 50_000, "aa1a - " * 40_000),
        *("%40" * 80_000, "x%40" * 60_000, "x%4" * 80_000),
        *("%20" * 80_000, "admit_" * 40_000, "YWRtaXRf" * 30_000),
    ],
)
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
@pytest.mark.parametrize(
    "secret", ["hunter2-hunter2", "pässwörd", "p@ss/wörd", 'quo"te\\or', "(.*)+(.*)", "two words"]
)
def test_a_learnt_secret_is_masked_however_it_is_written(secret):
    learn([secret])

    for written in (
        *(secret, repr(secret)[1:-1], ascii(secret)[1:-1], repr(secret.encode())[2:-1]),
        *(json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]),
        *(quote(secret), quote(secret, safe=""), quote(secret, safe="").lower()),
    ):
        assert mask(f"before {written} after") == "before *** after"


@pytest.mark.usefixtures("nothing_learnt")
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"\0user\0", b"user:", b"ab:"])
@pytest.mark.parametrize("after", [b"", b"?", b"\n"])
def test_a_learnt_secret_is_masked_within_base64(encode, before, after):
    secret = "pässwörd???>>>"
    learn([secret])
    written = encode(before + secret.encode() + after).decode()

    masked = mask(f"AUTH PLAIN {written}")

    assert "***" in masked
    assert len(masked.replace("*", "")) <= len("AUTH PLAIN ") + 4 * (len(before) // 3 + 3)


@pytest.mark.usefixtures("nothing_learnt")
def test_the_longest_secret_is_masked_first():
    learn(["hunter2-hunter2", "hunter2-hunter2-and-more"])

    assert mask("hunter2-hunter2-and-more") == "***"


@pytest.mark.usefixtures("nothing_learnt")
def test_a_very_short_secret_masks_no_ordinary_words():
    learn(["", "guest"])

    assert mask("a guest was refused") == "a guest was refused"


FAILS = """
import threading
from admit_one.masking import learn, mask_tracebacks
mask_tracebacks()
learn(["hunter2-hunter2"])
def fail():
    raise ValueError("login hunter2-hunter2 refused for ada@example.com")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
class Closing:
    def __del__(self):
        fail()
Closing()
fail()
"""


def test_an_error_that_nobody_catches_is_masked_in_every_thread_and_destructor():
    ended = subprocess.run(
        [sys.executable, "-c", FAILS], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr.count("ValueError: login *** refused for a…@e….com") == 3
    assert "hunter2" not in ended.stderr
