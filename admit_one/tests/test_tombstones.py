"""What is about an erased subject counts as handled, is not set aside, and costs no query more."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from admit_one.erasure import erasing, library, requests
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import InboxMessage, OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.tombstones import Tombstone
from admit_one.messaging.why import timeline
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import handlers
from tests.contract.events import UserSubscribed
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


def a_tombstone(subject) -> Tombstone:
    return Tombstone.objects.create(
        subject=subject, erasure_id=uuid4(), erased_at=timezone.now(), answered_at=timezone.now()
    )


def test_others_of_its_batch_are_handled():
    erased, other = an_envelope(UserSubscribed), an_envelope(UserSubscribed)
    a_tombstone(erased.subject)

    assert [outcome.result for outcome in deliver(erased, other)] == [Result.HANDLED] * 2
    assert Effect.objects.get().subscription_id == other.data.subscription_id
    assert InboxMessage.objects.count() == 2
    assert [outcome.result for outcome in deliver(erased)] == [Result.DUPLICATE]


def test_the_service_hears_what_was_passed_by(monkeypatch):
    heard: list[Any] = []
    monkeypatch.setattr(handlers, "ON_ERASED", heard.extend, raising=False)
    erased = an_envelope(UserSubscribed)
    a_tombstone(erased.subject)

    deliver(erased, an_envelope(UserSubscribed))

    assert [message.id for message in heard] == [erased.id]


def queries(*messages) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        deliver(*messages)
    return len(captured)


def test_looking_for_tombstones_costs_no_query():
    deliver(an_envelope(UserSubscribed))
    without = queries(an_envelope(UserSubscribed))
    erased = an_envelope(UserSubscribed)
    a_tombstone(erased.subject)

    assert queries(an_envelope(UserSubscribed)) == without
    assert queries(erased) < without


@pytest.mark.parametrize("readable", [True, False])
def test_it_is_not_set_aside(readable):
    erased = an_envelope(UserSubscribed)
    a_tombstone(erased.subject)
    body = erased.to_json() if readable else b"\xff" + erased.to_json()

    keeping.keep(Received.read(body, queue="q"), ValueError("x"), dead=True)
    keeping.keep(Received.read(b"about nobody", queue="q"), ValueError("x"), dead=True)

    assert SetAside.objects.count() == 1


def test_an_erasure_covers_what_is_kept_of_messages():
    erased, other = an_envelope(UserSubscribed), an_envelope(UserSubscribed)
    for message in (erased, other):
        keeping.keep(Received.read(message.to_json(), queue="q"), ValueError("x"), dead=True)
        keeping.keep(
            Received.read(b"\xff" + message.to_json(), queue="q"), ValueError("x"), dead=True
        )
        deliver(message)

    requests.put([erased.subject], uuid4())
    erasing._erase([erased.subject], library.search([erased.subject]))

    assert SetAside.objects.filter(state=SetAside.State.ERASED).count() == 2
    assert SetAside.objects.open().count() == 2
    fingerprints = dict(InboxMessage.objects.values_list("subject", "fingerprint"))
    assert bytes(fingerprints[erased.subject]) == b""
    assert bytes(fingerprints[other.subject]) != b""
    assert OutboxMessage.objects.count() == 0
    assert "its person was erased here" in [s.what for s in timeline.of(erased.subject).steps]
