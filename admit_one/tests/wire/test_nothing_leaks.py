"""No value of an event shows in an error or in a log."""

from __future__ import annotations

import json

import pytest
from admit_one.messaging.testing import an_envelope, an_event
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.wire.steps import error_of, wire, with_data

SECRET = "hunter2"

hostile = st.recursive(
    st.sampled_from([SECRET, f"{SECRET}@example.com", f"{SECRET}-{SECRET}", f" {SECRET}\0"]),
    lambda inner: st.lists(inner, min_size=1) | st.dictionaries(st.just(SECRET), inner, min_size=1),
    max_leaves=4,
)


@given(st.sampled_from(sorted(UserSubscribed.model_fields)), hostile)
@example("email", SECRET)
@example("subscription_id", SECRET)
@example("occurred_at", SECRET)
def test_an_error_never_shows_the_value_of_a_field(field, value):
    assert SECRET not in error_of(with_data(**{field: value}))


@given(
    st.sampled_from(["specversion", "id", "source", "time", "subject", "traceparent", "data"]),
    hostile,
)
def test_an_error_never_shows_the_value_of_an_attribute(field, value):
    assert SECRET not in error_of(json.dumps(wire() | {field: value}).encode())


@given(hostile)
def test_an_event_refused_when_it_is_written_shows_nothing(value):
    with pytest.raises(ValidationError) as caught:
        an_event(UserSubscribed, amount=value)

    assert SECRET not in str(caught.value)


def test_an_event_in_a_log_shows_nothing_sensitive():
    request = an_envelope(UserSubscribed)
    reply = an_envelope(AccessCodeCreated)

    shown = f"{request!r} {request.data} {reply!r} {reply.data}"

    assert "ada@example.com" not in shown
    assert "7K3M-Q9TX-2WBD-H5RN" not in shown
    assert "email='***'" in shown
