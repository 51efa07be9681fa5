"""A message is retried when due, and at last waits for an operator."""

from __future__ import annotations

import pytest
from admit_one.contract.errors import Rejected, Transient
from admit_one.messaging import conf
from admit_one.messaging.models import InboxMessage, SetAside
from admit_one.messaging.set_aside import keeping, retrying
from admit_one.messaging.testing import an_envelope

from tests.contract.events import UserSubscribed
from tests.models import Effect
from tests.set_aside.steps import (
    at_once,
    fail,
    kept,
    kept_by_an_older_release,
    make_due,
    received,
    retry,
    seconds_until_next,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_retry_comes_after_the_first_delay():
    row = kept()

    assert 4 < seconds_until_next(row) <= 5
    assert not retrying.retry_one(conf.handlers(), at_once)


def test_a_message_that_now_works_is_handled_and_closed():
    kept()

    assert retry() == 1

    row = SetAside.objects.get()
    assert (row.state, row.attempts, row.next_attempt_at) == ("replayed", 1, None)
    assert row.closed_at is not None
    assert Effect.objects.count() == 1
    assert retry() == 0


def test_a_retry_notes_which_event_an_older_release_could_not_read(monkeypatch, handle):
    handle(fail)
    row = kept_by_an_older_release(monkeypatch)
    assert (row.type, row.event_id, row.subject) == ("", "", "")

    retry()

    row.refresh_from_db()
    envelope = keeping.read(row).envelope
    assert envelope is not None
    assert (row.type, row.event_id) == ("user_subscribed", envelope.id)
    assert (row.subject, row.source) == (envelope.subject, "/payment_service")


def test_each_failed_retry_waits_longer_until_the_last(handle):
    handle(fail)
    row = kept()
    waits = []

    for _ in conf.current().RETRY_DELAYS:
        waits.append(round(seconds_until_next(row)))
        retry()
        row.refresh_from_db()
        if row.state == "dead":
            break

    assert waits == [5, 30, 120, 600]
    assert (row.state, row.attempts, row.next_attempt_at) == ("dead", 4, None)
    assert {entry["error"] for entry in row.history[1:]} == {row.error} == {"ValueError"}
    assert len(row.history) == 5
    assert retry() == 0


def test_a_message_that_is_rejected_at_a_retry_is_dead_at_once(handle):
    handle(lambda messages: [Rejected(m, "no such subscription") for m in messages])
    kept()

    retry()

    row = SetAside.objects.get()
    assert (row.state, row.attempts, row.reason) == ("dead", 1, "no such subscription")
    assert InboxMessage.objects.count() == 0


def test_a_message_handled_meanwhile_is_closed_without_a_second_effect():
    envelope = an_envelope(UserSubscribed)
    keeping.keep(received(envelope), Transient(), dead=False)
    keeping.keep(received(an_envelope(UserSubscribed)), Transient(), dead=False)
    SetAside.objects.filter(event_id=envelope.id).update(headers={})
    retry()
    SetAside.objects.update(state="retrying", closed_at=None)

    retry()

    assert list(SetAside.objects.values_list("state", flat=True)) == ["replayed", "replayed"]
    assert Effect.objects.count() == 2


def test_a_message_closed_by_an_operator_during_a_retry_stays_closed(handle, caplog):
    row = kept()
    handle(fail)
    SetAside.objects.update(attempts=len(conf.current().RETRY_DELAYS) - 1)
    make_due()
    steps = iter(["claim", "try", "note that it failed"])

    def discarded_meanwhile(step):
        if next(steps) == "note that it failed":
            SetAside.objects.filter(id=row.id).update(state="discarded", next_attempt_at=None)
        return step()

    retrying.retry_one(conf.handlers(), discarded_meanwhile)

    assert SetAside.objects.get().state == "discarded"
    assert "dead after attempt" not in caplog.text


def test_one_failing_message_does_not_delay_the_retries_of_others(handle):
    bad = an_envelope(UserSubscribed)
    for envelope in (bad, an_envelope(UserSubscribed), an_envelope(UserSubscribed)):
        keeping.keep(received(envelope), Transient(), dead=False)

    def only_bad_fails(messages):
        if any(m.id == bad.id for m in messages):
            fail(messages)

    handle(only_bad_fails)

    assert retry() == 3

    states = dict(SetAside.objects.values_list("event_id", "state"))
    assert states.pop(bad.id) == "retrying"
    assert set(states.values()) == {"replayed"}


def test_a_suspect_is_marked_and_retried_like_the_others():
    row = kept(suspect=True)

    retry()

    row.refresh_from_db()
    assert (row.suspect, row.state) == (True, "replayed")


def test_a_body_without_its_key_fails_its_retry_and_stays(messaging):
    kept()
    messaging(SEALING_KEYS={"k9": b"9" * 32})

    retry()

    row = SetAside.objects.get()
    assert (row.state, row.error, row.attempts) == ("retrying", "Unsealable", 1)
