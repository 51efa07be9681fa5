"""What is kept of a message that could not be handled."""

from __future__ import annotations

import json

import pytest
from admit_one.contract.errors import Rejected, Transient
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.messaging.models import SET_ASIDE_PURPOSE, SetAside
from admit_one.messaging.set_aside import error_record, keeping
from admit_one.messaging.testing import an_envelope
from admit_one.sealing import cipher
from django.utils import timezone

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.set_aside.steps import fail, kept, received, retry
from tests.wire.steps import wire, with_data

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_message_is_stored_with_everything_known_about_it():
    envelope = an_envelope(UserSubscribed)
    message = received(envelope, headers={"x-delivery-count": 3, "note": "for ada@example.com"})

    try:
        fail([])
    except ValueError as error:
        keeping.keep(message, error, dead=False)

    row = SetAside.objects.get()
    assert (row.state, row.attempts, row.suspect) == ("retrying", 0, False)
    assert (row.event_id, row.source, row.type, row.subject, row.queue) == (
        envelope.id,
        "/payment_service",
        "user_subscribed",
        envelope.subject,
        "student_service.inbox",
    )
    assert cipher.unseal(row.body, SET_ASIDE_PURPOSE, row.delivery) == envelope.to_json()
    assert row.headers["x-delivery-count"] == "3"
    assert row.error == "ValueError"
    assert row.fingerprint == "ValueError in steps.fail"
    assert "in fail" in row.traceback
    shown = f"{row.reason} {row.traceback} {row.headers} {row.history}"
    assert "ada@example.com" not in shown


def test_a_code_without_its_separators_is_masked_in_what_is_kept(caplog):
    envelope = an_envelope(AccessCodeCreated)
    code = envelope.data.access_code
    message = received(envelope)

    keeping.keep(message, Transient(f"no room for {code} or {code.replace('-', '')}"), dead=False)
    retry()

    row = SetAside.objects.get()
    kept_and_logged = f"{row.reason} {row.history} {row.traceback} {caplog.text}"
    assert "no room for" in kept_and_logged
    assert code not in kept_and_logged
    assert code.replace("-", "") not in kept_and_logged


def changed(**changes) -> bytes:
    return json.dumps(wire(**changes)).encode()


@pytest.mark.parametrize(
    ("body", "group"),
    [
        (b"{", "Malformed: not JSON"),
        (b"[", "Malformed: not JSON"),
        (b"[]", "Malformed: expected a JSON object, got list"),
        (
            with_data(email="nobody"),
            "Malformed: user_subscribed from /payment_service: data.email string_pattern_mismatch",
        ),
        (
            with_data(amount=-1),
            "Malformed: user_subscribed from /payment_service: data.amount greater_than_equal",
        ),
        (
            changed(source="/shop 7"),
            "Malformed: user_subscribed from /shop 7: "
            "source: expected /payment_service for user_subscribed",
        ),
        (
            changed(type="user_moved", source="/shop"),
            "UnknownEvent: user_moved from /shop: no event of type 'user_moved' is known here",
        ),
        (
            changed(type="x" * 61, source=["/shop"]),
            "Malformed: ? from ?: source string_type",
        ),
    ],
)
def test_what_one_sender_does_wrong_is_a_group_of_its_own(body, group):
    message = received(body=body)

    assert error_record.fingerprint_of(message.fault) == group


def test_refusals_of_use_cases_are_groups_without_their_ids():
    one, other = an_envelope(UserSubscribed), an_envelope(UserSubscribed)
    groups = {
        error_record.fingerprint_of(Rejected(each, f"there is no subscription {each.subject}"))
        for each in (one, other)
    }

    assert groups == {"Rejected: user_subscribed from /payment_service: there is no subscription …"}


def test_an_unreadable_message_is_stored_dead_byte_for_byte():
    message = received(body=b"\xff\0{")

    keeping.keep(message, message.fault, dead=True)

    row = SetAside.objects.get()
    assert (row.state, row.next_attempt_at, row.event_id) == ("dead", None, "")
    assert cipher.unseal(row.body, SET_ASIDE_PURPOSE, row.delivery) == b"\xff\0{"


def test_the_beginning_of_an_oversized_body_is_stored():
    message = received(body=b"x" * 3_000_000)
    keeping.keep(message, message.fault, dead=True)

    row = SetAside.objects.get()
    kept_body = cipher.unseal(row.body, SET_ASIDE_PURPOSE, row.delivery)
    assert kept_body == b"x" * (MAX_BYTES + 1)
    assert row.reason == "the body has 3,000,000 bytes, expected at most 262,144"


@pytest.mark.parametrize("character", ["\0", "\ud83d"])
def test_an_error_with_characters_no_database_takes_is_stored(character):
    row = kept(ValueError(f"plan {character} is no plan"))

    assert row.reason == "plan ? is no plan"
    assert row.traceback == "ValueError: plan ? is no plan\n"


def test_a_code_cut_by_a_long_traceback_is_masked():
    after = "." * (error_record.LONGEST_TRACEBACK - len("-Q9TX-2WBD-H5RN") - 1)
    row = kept(ValueError(f"7K3M-Q9TX-2WBD-H5RN{after}"))

    assert "Q9TX" not in row.traceback
    assert "H5RN" not in row.traceback


def test_headers_of_any_kind_are_stored_as_bounded_text():
    headers = {"n": b"\xff\0", "t": timezone.now(), "deep": [{"a": 1}], "long": "x" * 20_000}

    keeping.keep(received(headers=headers), Transient(), dead=False)

    row = SetAside.objects.get()
    assert row.headers["n"] == "b'\\xff\\x00'"
    assert len(str(row.headers)) < 9_000


def test_long_header_names_are_cut_too():
    headers = {f"{n}-{'x' * 300}": "" for n in range(1_000)}

    keeping.keep(received(headers=headers), Transient(), dead=False)

    assert len(json.dumps(SetAside.objects.get().headers)) < 9_000
