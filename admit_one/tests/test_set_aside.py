"""What could not be handled is kept, tried again when due, and at last waits for an operator."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from admit_one.contract.errors import Malformed, Rejected, Transient
from admit_one.contract.strict_json import MAX_BYTES
from admit_one.database import outage
from admit_one.messaging import conf
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SET_ASIDE_PURPOSE, InboxMessage, SetAside
from admit_one.messaging.set_aside import error_record, keeping, retrying
from admit_one.messaging.testing import an_envelope
from admit_one.sealing import cipher
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone
from shared_contracts.events import UserSubscribed

from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


def received(envelope=None, body=b"", **changes):
    envelope = envelope or an_envelope(UserSubscribed)
    return Received.read(body or envelope.to_json(), queue="student_service.inbox", **changes)


def kept(error=None, **changes) -> SetAside:
    keeping.keep(received(), error or Transient("later"), dead=False, **changes)
    return SetAside.objects.get()


def fail(messages):
    raise ValueError("no such plan for ada@example.com")


def make_due():
    SetAside.objects.filter(state="retrying").update(next_attempt_at=Now() - timedelta(seconds=1))


def at_once(step):
    return step()


def retry() -> int:
    """Try all that is in the way of becoming due; returns how many were tried."""
    make_due()
    tried = 0
    while retrying.retry_one(conf.handlers(), at_once):
        tried += 1
    return tried


def seconds_until_next(row) -> float:
    return float((row.next_attempt_at - timezone.now()).total_seconds())


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
    assert cipher.unseal(row.body, SET_ASIDE_PURPOSE) == envelope.to_json()
    assert row.headers["x-delivery-count"] == "3"
    assert row.error == "ValueError"
    assert row.fingerprint == "ValueError in test_set_aside.fail"
    assert "in fail" in row.traceback
    shown = f"{row.reason} {row.traceback} {row.headers} {row.history}"
    assert "ada@example.com" not in shown


def test_an_unreadable_message_is_stored_dead_byte_for_byte():
    message = received(body=b"\xff\0{")

    keeping.keep(message, message.fault, dead=True)

    row = SetAside.objects.get()
    assert (row.state, row.next_attempt_at, row.event_id) == ("dead", None, "")
    assert cipher.unseal(row.body, SET_ASIDE_PURPOSE) == b"\xff\0{"


def test_the_beginning_of_an_oversized_body_is_stored():
    message = received(body=b"x" * 3_000_000)
    keeping.keep(message, message.fault, dead=True)

    row = SetAside.objects.get()
    kept_body = cipher.unseal(row.body, SET_ASIDE_PURPOSE)
    assert kept_body == b"x" * (MAX_BYTES + 1)
    assert row.reason == "the body has 3,000,000 bytes, expected at most 262,144"


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


def test_a_stored_message_redelivered_as_a_suspect_is_marked():
    message = received()
    keeping.keep(message, Transient("once"), dead=False)

    keeping.keep(message, Transient("twice"), dead=False, suspect=True)

    assert SetAside.objects.get().suspect


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


def test_a_retry_is_counted_before_it_is_made(handle):
    """What the handler sees is what a process killed in it leaves behind."""
    seen = []

    def look(messages):
        row = SetAside.objects.get()
        seen.append((row.attempts, seconds_until_next(row) > 20))
        raise ValueError

    handle(look)
    kept()

    retry()

    assert seen == [(1, True)]


def test_a_retry_is_committed_before_it_is_made(handle):
    def die(messages):
        raise Killed

    handle(die)
    kept()

    with pytest.raises(Killed):
        retry()

    assert SetAside.objects.get().attempts == 1


class Killed(BaseException):
    """As good as a kill: nothing of ours catches it."""


def test_ending_the_process_twice_at_the_last_retry_is_death(handle):
    tried = []

    def die(messages):
        tried.append(1)
        raise Killed

    handle(die)
    kept()
    SetAside.objects.update(attempts=3)
    for _ in range(2):
        with pytest.raises(Killed):
            retry()

    retry()

    row = SetAside.objects.get()
    assert (row.state, len(tried)) == ("dead", 2)
    assert row.reason == "the process ended during try 4, and during try 5"


def test_a_last_retry_cut_short_by_outage_or_stop_is_repeated():
    kept()
    SetAside.objects.update(attempts=3)
    make_due()
    steps = []

    def only_the_claim_works(step):
        steps.append(step)
        if len(steps) > 1:
            raise outage.LetGo
        return step()

    with pytest.raises(outage.LetGo):
        retrying.retry_one(conf.handlers(), only_the_claim_works)

    retry()

    row = SetAside.objects.get()
    assert (row.state, row.attempts, row.unanswered) == ("replayed", 5, 0)


def test_fewer_retries_after_a_deploy_count_as_no_process_death(messaging):
    kept()
    SetAside.objects.update(attempts=3)
    messaging(RETRY_DELAYS=(1, 1))

    retry()

    assert SetAside.objects.get().state == "replayed"


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
    assert "dead after try" not in caplog.text


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


def test_a_short_database_outage_uses_no_retry(handle):
    """The step is repeated by whoever can tell an outage from a fault; the try is the same one."""
    failures = [OperationalError("gone"), OperationalError("gone")]

    def once_back(messages):
        if failures:
            raise failures.pop()

    def until_it_works(step):
        while True:
            with suppress(OperationalError):
                return step()

    handle(once_back)
    kept()
    make_due()

    assert retrying.retry_one(conf.handlers(), until_it_works)

    row = SetAside.objects.get()
    assert (row.state, row.attempts, len(row.history)) == ("replayed", 1, 2)


def test_a_long_database_outage_does_not_count_against_the_message():
    kept()
    make_due()

    steps = []

    def only_the_claim_works(step):
        steps.append(step)
        if len(steps) > 1:
            raise outage.LetGo
        return step()

    with pytest.raises(outage.LetGo):
        retrying.retry_one(conf.handlers(), only_the_claim_works)

    assert len(steps) == 2  # the claim and the try, and no note of a failure
    assert SetAside.objects.get().error == "Transient"


def test_a_suspect_is_marked_and_retried_like_the_others():
    row = kept(suspect=True)

    retry()

    row.refresh_from_db()
    assert (row.suspect, row.state) == (True, "replayed")


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


def test_a_body_without_its_key_fails_its_retry_and_stays(messaging):
    kept()
    messaging(SEALING_KEYS={"k9": b"9" * 32})

    retry()

    row = SetAside.objects.get()
    assert (row.state, row.error, row.attempts) == ("retrying", "Unsealable", 1)
