"""Wrong and missing keys are named before an event needs them."""

from __future__ import annotations

from io import StringIO

import pytest
from admit_one.messaging import checks
from admit_one.trust import base64url
from admit_one.trust.keys import WireKey
from django.core.management import call_command

OWN, OTHER = bytes([1]) * 32, bytes([2]) * 32
PUBLIC = WireKey(OTHER).public


def complaints(messaging, **changes) -> list[tuple[str | None, str]]:
    messaging(**{"WIRE_KEYS_OPTIONAL": False, **changes})
    return [(message.id, message.msg) for message in checks.keys_are_listed()]


def test_keys_that_belong_together_are_fine(messaging):
    keys = {"WIRE_KEYS": {"s1": OWN}, "PEER_KEYS": {"payment_service": {"p1": PUBLIC}}}

    assert complaints(messaging, **keys) == []


def test_each_missing_key_is_named_with_an_event_that_needs_it(messaging):
    assert complaints(messaging) == [
        (
            "messaging.E015",
            f"MESSAGING {name}: expected a key, because access_code_assigned is signed or sealed",
        )
        for name in ("WIRE_KEYS", "PEER_KEYS of payment_service")
    ]


def test_a_service_without_such_events_needs_no_key(messaging):
    assert complaints(messaging, WIRE_KEYS_OPTIONAL=True) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"WIRE_KEYS": {"s1": b"short"}}, "WIRE_KEYS s1: expected 32 bytes"),
        ({"WIRE_KEYS": {"s1": "x" * 32}}, "WIRE_KEYS s1: expected 32 bytes"),
        ({"PEER_KEYS": {"payment_service": {"p1": PUBLIC[:32]}}}, "p1: expected 64 bytes"),
        ({"PEER_KEYS": {"student_service": {"s1": PUBLIC}}}, "which is this one"),
        (
            {
                "WIRE_KEYS": {"s1": OWN},
                "PEER_KEYS": {"payment_service": {"p1": WireKey(OWN).public}},
            },
            "got one of this service",
        ),
    ],
)
def test_a_wrong_key_is_named_and_not_shown(messaging, keys, expected):
    [(number, text)] = complaints(messaging, **keys)

    assert number == "messaging.E016"
    assert expected in text
    assert "short" not in text


def test_the_command_prints_what_the_other_services_need(messaging):
    messaging(WIRE_KEYS={"s2": OTHER, "s1": OWN}, PEER_KEYS={"payment_service": {"p1": PUBLIC}})
    out = StringIO()

    call_command("wire_keys", stdout=out)

    assert out.getvalue().splitlines() == [
        f"student_service:{kid}:{base64url.encode(WireKey(secret).public)}"
        for kid, secret in (("s2", OTHER), ("s1", OWN))
    ]


def test_the_command_names_what_is_missing(messaging):
    messaging(WIRE_KEYS={"s1": OWN}, PEER_KEYS={})
    out, complaint = StringIO(), StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("wire_keys", stdout=out, stderr=complaint)

    assert ended.value.code == 1
    assert "PEER_KEYS of payment_service: expected a key" in complaint.getvalue()
