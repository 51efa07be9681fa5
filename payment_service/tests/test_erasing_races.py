"""Whatever is under way when a person is erased, on two connections: nothing is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from admit_one.erasure import erasing, library
from admit_one.erasure.testing import found
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver
from django.db import connection, transaction
from django.utils import timezone
from subscriptions import code_requests, lifecycle, resends
from subscriptions.models import ReconciliationRun, Subscription
from subscriptions.reconciliation import repairs
from uuid_utils.compat import uuid7

from tests.factories import CODE, a_code_for, a_subscription
from tools.system.eventually import eventually
from tools.system.races import in_a_thread, somebody_waits

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]

PERSON = ("ada@example.com", "user-42", CODE, "lovelace")


def erase(subscription_id: UUID) -> None:
    erasing.begin([str(subscription_id)], uuid7(), by="grace")


@contextmanager
def erasing_meanwhile(subscription_id: UUID) -> Iterator[None]:
    """The erasure waits for the transaction of this block, and is done when that has ended."""
    with transaction.atomic():
        yield
        other = in_a_thread(lambda: erase(subscription_id))
        eventually(somebody_waits)
    other.result(30)


@contextmanager
def erased_meanwhile(subscription_id: UUID) -> Iterator[None]:
    """The erasure is not committed before something in this block waits for it."""
    with transaction.atomic():
        erasing._begin(
            [str(subscription_id)], uuid7(), "grace", library.search([str(subscription_id)])
        )
        yield
        eventually(somebody_waits)


def test_a_code_that_is_being_attached_is_erased_with_the_rest() -> None:
    row = a_subscription()

    with erasing_meanwhile(row.id):
        deliver(a_code_for(row.id))

    assert found(*PERSON) == set()


def test_a_code_that_comes_in_between_finds_the_tombstone() -> None:
    row = a_subscription()

    with erased_meanwhile(row.id):
        handled = in_a_thread(lambda: deliver(a_code_for(row.id)))

    handled.result(30)
    assert found(*PERSON) == set()


def test_a_client_that_resends_in_between_writes_no_address() -> None:
    row = a_subscription()
    changes: dict[str, Any] = {"email": "ada@example.com", "reason": "lovelace"}

    with erased_meanwhile(row.id):
        asked = in_a_thread(
            lambda: resends.request(client="shop", subscription_id=row.id, **changes)
        )

    with pytest.raises(lifecycle.NotPossible):
        asked.result(30)
    assert found(*PERSON) == set()


def test_a_request_that_is_being_repeated_is_withdrawn() -> None:
    row = a_subscription()
    Subscription.objects.update(next_request_at=row.created_at)
    OutboxMessage.objects.update(published_at=row.created_at)

    with erasing_meanwhile(row.id):
        assert code_requests.request_again() == 1

    assert found(*PERSON) == set()
    unsent = OutboxMessage.objects.unsent().values_list("type", flat=True)
    assert list(unsent) == ["subscription_erasure_requested"]


def test_a_repair_that_waits_for_the_erasure_restores_nothing() -> None:
    row = a_subscription()
    deliver(a_code_for(row.id))
    now = timezone.now()
    run = ReconciliationRun.objects.create(since=now, until=now, repair=True)

    def repaired() -> None:
        with transaction.atomic():
            repairs.begin(run, {row.id: "code_lost"})

    with erased_meanwhile(row.id):
        waiting = in_a_thread(repaired)

    waiting.result(30)
    assert not OutboxMessage.objects.filter(type="access_code_restored").exists()
    assert found(*PERSON) == set()


def test_what_a_relay_is_publishing_is_blank_afterwards() -> None:
    row = a_subscription()

    with erasing_meanwhile(row.id):
        published = OutboxMessage.objects.select_for_update().get()
        OutboxMessage.objects.filter(pk=published.pk).update(published_at=timezone.now())

    assert found(*PERSON) == set()
    assert OutboxMessage.objects.filter(pk=published.pk).exists()
