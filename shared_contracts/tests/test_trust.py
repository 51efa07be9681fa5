"""Each event says whether it must be signed, and what is secret is sealed for its reader."""

from __future__ import annotations

import pytest
from admit_one.contract import Event
from admit_one.contract.package import ContractPackage
from admit_one.contract.sealed import sealed_fields
from shared_contracts.topology import TOPOLOGY

from shared_contracts import events

CONTRACT = ContractPackage("shared_contracts")

each_event = pytest.mark.parametrize("event", CONTRACT.events, ids=lambda event: event.type)


@each_event
def test_an_event_says_itself_whether_it_must_be_signed(event: type[Event]) -> None:
    """Who forgets to decide learns it here, not from an attacker."""
    assert "signed" in vars(event)


def test_what_makes_the_student_side_tell_or_accept_a_secret_is_signed() -> None:
    requests = {event for event in CONTRACT.events if event.type.endswith("s_requested")}

    assert {event for event in CONTRACT.events if event.signed} >= {
        *requests,
        events.AccessDigestRequested,
        events.AccessCodeRestored,
        events.AccessCodeResendRequested,
    }


@each_event
def test_what_makes_a_side_erase_or_stop_asking_is_signed(event: type[Event]) -> None:
    assert event.signed >= event.about_erasure


@each_event
def test_every_address_and_code_is_sealed_for_the_service_that_handles_it(
    event: type[Event],
) -> None:
    secret = {"email", "access_code"} & set(event.model_fields)

    assert set(sealed_fields(event)) == secret
    assert set(event.sensitive) == secret
    assert not secret or TOPOLOGY.receivers(event) == [event.sealed_for]


@each_event
def test_a_code_is_signed_or_accepted_only_sealed(event: type[Event]) -> None:
    """Else the broker login of its sender is enough to report a code of one's own."""
    assert (event.signed or event.sealed_only) >= ("access_code" in event.model_fields)
