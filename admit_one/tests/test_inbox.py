"""Each event takes effect once: its effects and its inbox row are one transaction."""

from __future__ import annotations

import dataclasses
import json

import pytest
from admit_one.contract.errors import Rejected
from admit_one.messaging import inbox
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import InboxMessage
from admit_one.messaging.testing import an_envelope, deliver

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


def results(*messages) -> list[Result]:
    return [outcome.result for outcome in deliver(*messages)]


def requests(number):
    return [an_envelope(UserSubscribed) for _ in range(number)]


def test_a_new_event_is_handled_and_remembered():
    [request] = requests(1)

    assert results(request) == [Result.HANDLED]
    assert Effect.objects.get().subscription_id == request.data.subscription_id
    row = InboxMessage.objects.get()
    assert (row.event_id, row.source, row.subject) == (request.id, request.source, request.subject)


def test_a_redelivered_event_has_no_second_effect():
    [request] = requests(1)
    deliver(request)

    assert results(request) == [Result.DUPLICATE]
    assert Effect.objects.count() == 1


def test_an_event_twice_in_one_batch_has_one_effect():
    [request] = requests(1)

    assert results(request, request) == [Result.HANDLED, Result.DUPLICATE]
    assert Effect.objects.count() == 1


def test_the_same_id_with_another_body_is_not_a_duplicate():
    [request, other] = requests(2)
    impostor = dataclasses.replace(other, id=request.id)

    assert results(request, impostor) == [Result.HANDLED, Result.MALFORMED]
    assert results(impostor) == [Result.MALFORMED]
    assert Effect.objects.count() == 1


def test_a_forged_id_in_the_batch_does_not_hide_a_duplicate():
    [request, other] = requests(2)
    forged = dataclasses.replace(other, id=request.id)
    deliver(request)

    assert results(forged, request, forged, request) == [
        Result.MALFORMED,
        Result.DUPLICATE,
        Result.MALFORMED,
        Result.DUPLICATE,
    ]


def test_two_producers_may_use_the_same_id():
    [request] = requests(1)
    InboxMessage.objects.create(
        source="/other_service", event_id=request.id, type="", subject="", fingerprint=b""
    )

    assert results(request) == [Result.HANDLED]


def test_a_duplicate_is_recognised_after_a_key_rotation(messaging):
    [request] = requests(1)
    deliver(request)

    messaging(SEALING_KEYS={"k2": b"2" * 32, "k1": b"1" * 32})

    assert results(request) == [Result.DUPLICATE]


def test_a_handler_sees_only_new_events_in_order_and_once(handle):
    seen = []
    handle(lambda messages: seen.append([m.id for m in messages]))
    old, one, two = requests(3)
    deliver(old)
    seen.clear()

    deliver(one, old, two, one)

    assert seen == [[one.id, two.id]]


def test_a_batch_of_duplicates_calls_no_handler(handle):
    [request] = requests(1)
    deliver(request)
    handle(lambda messages: pytest.fail("called"))

    assert results(request) == [Result.DUPLICATE]


def test_a_rejected_event_is_reported_and_not_remembered(handle):
    good, bad, also_good = requests(3)
    handle(lambda messages: [Rejected(m, "no such plan") for m in messages if m.id == bad.id])

    outcomes = deliver(good, bad, also_good)

    assert [o.result for o in outcomes] == [Result.HANDLED, Result.REJECTED, Result.HANDLED]
    assert str(outcomes[1].error) == "no such plan"
    assert set(InboxMessage.objects.values_list("event_id", flat=True)) == {good.id, also_good.id}


def test_a_rejected_event_delivered_again_is_judged_again(handle):
    [request] = requests(1)
    handle(lambda messages: [Rejected(m, "not yet") for m in messages])
    deliver(request)
    handle(lambda messages: None)

    assert results(request) == [Result.HANDLED]


def test_rejecting_a_message_of_another_batch_forgets_nothing(handle):
    handled, later = requests(2)
    deliver(handled)
    handle(lambda _: [Rejected(handled, "too late")])

    with pytest.raises(ValueError, match="not given"):
        deliver(later)

    assert list(InboxMessage.objects.values_list("event_id", flat=True)) == [handled.id]


def test_a_full_batch_may_be_rejected(handle):
    handle(lambda messages: (Rejected(m, "no") for m in messages))

    assert set(results(*requests(500))) == {Result.REJECTED}
    assert InboxMessage.objects.count() == 0


def test_an_exception_of_a_handler_rolls_back_the_whole_batch(handle):
    def fail(messages):
        Effect.objects.create(subscription_id=messages[0].data.subscription_id)
        raise ZeroDivisionError

    handle(fail)

    with pytest.raises(ZeroDivisionError):
        deliver(*requests(2))
    assert Effect.objects.count() == 0
    assert InboxMessage.objects.count() == 0


def test_unreadable_and_unknown_messages_do_not_affect_the_others():
    [request] = requests(1)
    unknown_type = json.loads(request.to_json()) | {"id": "other", "type": "user_subscribed.v2"}
    not_for_us = an_envelope(AccessCodeCreated)

    outcomes = deliver(
        b"{", request, json.dumps(unknown_type).encode(), not_for_us, b"\xff", request
    )

    assert [o.result for o in outcomes] == [
        Result.MALFORMED,
        Result.HANDLED,
        Result.UNKNOWN,
        Result.UNKNOWN,
        Result.MALFORMED,
        Result.DUPLICATE,
    ]
    assert str(outcomes[3].error) == "nothing here handles access_code_created"
    assert Effect.objects.count() == 1
    assert InboxMessage.objects.count() == 1


def test_an_empty_batch_does_nothing():
    assert deliver() == []


def test_broken_properties_make_a_message_malformed_whatever_its_body():
    [request] = requests(1)

    message = Received.read(request.to_json(), queue="q", broken="its properties are unreadable")

    [outcome] = inbox.process([message], {})
    assert outcome.result == Result.MALFORMED


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError])
def test_a_message_that_breaks_the_reader_itself_is_malformed(monkeypatch, error):
    """A fault in our reader must cost the message that meets it, not the process."""

    def broken(raw, unseal):
        raise error

    monkeypatch.setattr("admit_one.messaging.inbox.Envelope.from_json", broken)

    [outcome] = deliver(b"{}")

    assert outcome.result == Result.MALFORMED
    assert error.__name__ in str(outcome.error)
