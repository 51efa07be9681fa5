"""A message whose AMQP properties cannot be read is never handled."""

from __future__ import annotations

import struct
from typing import Any

import amqp
import pytest
from admit_one.contract.errors import Transient
from admit_one.messaging.broker import amqp_patches
from admit_one.messaging.incoming.message_properties import fault_of
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope

from tests.contract.events import UserSubscribed
from tests.models import Effect
from tests.set_aside.steps import received, retry

pytestmark = pytest.mark.django_db(transaction=True)

ZIPPED = "content_encoding: expected utf-8 and nothing compressed, got 'gzip'"


def test_a_message_with_broken_properties_is_refused_at_every_retry():
    message = received(broken=ZIPPED)
    keeping.keep(message, Transient("delivered too often"), dead=False, suspect=True)
    tried = retry()

    row = SetAside.objects.get()
    assert (tried, row.state, row.reason) == (1, "dead", ZIPPED)
    assert Effect.objects.count() == 0


@pytest.mark.parametrize("broken", ["\0\ud83d", "for ada@example.com " + "x" * 5_000])
def test_broken_properties_are_stored_as_bounded_text_without_addresses(broken):
    keeping.keep(received(broken=broken), Transient(), dead=True)

    row = SetAside.objects.get()
    assert keeping.read(row).fault is not None
    assert "ada@example.com" not in str(row.headers)
    assert len(str(row.headers)) < 1_100


def test_the_same_body_with_good_properties_is_handled():
    envelope = an_envelope(UserSubscribed)
    for changes in ({"broken": ZIPPED}, {}):
        keeping.keep(received(envelope, **changes), Transient(), dead=False)
    retry()

    assert list(SetAside.objects.order_by("id").values_list("state", flat=True)) == [
        "dead",
        "replayed",
    ]


def test_a_third_party_header_does_not_mark_a_message_broken():
    keeping.keep(received(headers={keeping.BROKEN: "yes"}), Transient(), dead=False)
    retry()

    assert SetAside.objects.get().state == "replayed"


@pytest.mark.parametrize("encoding", ["utf-8", "binary", "7bit", "8BIT", "identity", "us-ascii"])
def test_an_encoding_that_changes_no_byte_is_read(encoding):
    assert fault_of({"content_encoding": encoding, "content_type": "application/json"}) == ""


@pytest.mark.parametrize("encoding", ["gzip", "utf-16", "binary, gzip", "base64"])
def test_a_message_in_another_encoding_is_not_read(encoding):
    assert fault_of({"content_encoding": encoding}).endswith(f"got {encoding!r}")


def test_a_header_that_others_send_marks_nothing():
    forged = "x\n2026-11-27 CRITICAL FORGED LINE\x1b[31m"

    for name in ("x-broken-properties", amqp_patches.BROKEN_PROPERTIES):
        assert fault_of({"application_headers": {name: forged}}) == ""


def test_properties_that_cannot_be_read_are_marked_without_their_bytes():
    message: Any = amqp.Message()
    flags = struct.pack(">H", 1 << 7)

    message._load_properties(message.CLASS_ID, flags + b"\x05co\xffde", 0)

    fault = fault_of(message.properties)
    assert fault.startswith("its AMQP properties are unreadable: UnicodeDecodeError: ")
    assert "de'" not in fault
