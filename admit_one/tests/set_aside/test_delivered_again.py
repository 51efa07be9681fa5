"""A message that is set aside already and comes again stays one row."""

from __future__ import annotations

import pytest
from admit_one.contract.errors import Malformed, Transient
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping

from tests.set_aside.steps import received, retry, seconds_until_next

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_stored_message_redelivered_as_a_suspect_is_marked():
    message = received()
    keeping.keep(message, Transient("once"), dead=False)

    keeping.keep(message, Transient("twice"), dead=False, suspect=True)

    assert SetAside.objects.get().suspect


def test_a_delivery_stored_twice_is_one_row_with_both_in_history():
    message = received()
    keeping.keep(message, Transient("once"), dead=False)

    keeping.keep(message, Transient("twice"), dead=False)

    row = SetAside.objects.get()
    assert [entry["reason"] for entry in row.history] == ["once", "twice"]
    assert row.attempts == 0


def test_a_thousand_bad_copies_are_one_row_of_bounded_size():
    message = received(body=b"{")
    for _ in range(200):
        keeping.keep(message, Malformed("no"), dead=True)

    assert len(SetAside.objects.get().history) == 20


def test_a_closed_message_that_fails_again_is_reopened(handle):
    message = received()
    keeping.keep(message, Transient("first"), dead=False)
    retry()
    assert SetAside.objects.get().state == "replayed"

    keeping.keep(message, Transient("again"), dead=False)

    row = SetAside.objects.get()
    assert (row.state, row.closed_at, row.attempts, row.reason) == ("retrying", None, 0, "again")
    assert 4 < seconds_until_next(row) <= 5


def test_a_dead_message_delivered_again_stays_dead():
    message = received()
    keeping.keep(message, Malformed("no"), dead=True)

    keeping.keep(message, Transient("later"), dead=False)

    assert SetAside.objects.get().state == "dead"
