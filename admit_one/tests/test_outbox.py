"""An event is committed only together with its change, and only if it can be sent."""

from __future__ import annotations

import dataclasses

import pytest
from admit_one.contract.errors import NotInTransaction, Undeliverable
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, published
from django.db import transaction

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect


@pytest.mark.django_db(transaction=True)
def test_publishing_outside_a_transaction_is_refused_and_writes_nothing():
    with pytest.raises(NotInTransaction, match=r"transaction\.atomic"):
        outbox.publish(an_envelope(AccessCodeCreated))

    assert OutboxMessage.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_events_are_written_in_order_with_their_change():
    envelopes = [an_envelope(AccessCodeCreated) for _ in range(3)]

    with transaction.atomic():
        outbox.publish(*envelopes[:2])
        outbox.publish(envelopes[2])

    assert published() == envelopes


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_neither_change_nor_event():
    envelope = an_envelope(AccessCodeCreated)

    with transaction.atomic():
        Effect.objects.create(subscription_id=envelope.data.subscription_id)
        outbox.publish(envelope)
        transaction.set_rollback(True)

    assert OutboxMessage.objects.count() == 0
    assert Effect.objects.count() == 0


@pytest.mark.django_db
def test_publishing_nothing_does_nothing():
    outbox.publish()

    assert OutboxMessage.objects.count() == 0


@pytest.mark.django_db
def test_an_event_of_another_service_is_refused():
    with pytest.raises(
        Undeliverable, match="student_service is not the producer of user_subscribed"
    ):
        outbox.publish(an_envelope(UserSubscribed))

    assert OutboxMessage.objects.count() == 0


@pytest.mark.django_db
def test_an_oversized_event_refuses_the_whole_call():
    good = an_envelope(AccessCodeCreated)
    data = good.data.model_copy(update={"user_id": "x" * 300_000})
    large = dataclasses.replace(good, data=data)

    with pytest.raises(Undeliverable, match="at most 262,144"):
        outbox.publish(good, large)

    assert OutboxMessage.objects.count() == 0


@pytest.mark.django_db
def test_a_stored_body_is_sealed_beside_what_the_relay_needs():
    envelope = an_envelope(AccessCodeCreated)

    outbox.publish(envelope)

    row = OutboxMessage.objects.get()
    assert b"7K3M" not in bytes(row.body)
    assert (row.event_id, row.type, row.subject) == (
        envelope.id,
        "access_code_created",
        envelope.subject,
    )
    assert row.published_at is None
