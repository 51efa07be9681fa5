from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver, published
from admit_one.tasks.runs import stopping
from django.db import connections, transaction
from django.utils import timezone
from subscriptions import code_requests, tasks
from subscriptions.models import Subscription

from tests.factories import a_code_for, a_subscription

MINUTE = timedelta(minutes=1)


def pass_time(by: timedelta) -> None:
    """Simulate the passing of time by moving all times back."""
    for subscription in Subscription.objects.all():
        subscription.next_request_at -= by
        subscription.save()
    for row in OutboxMessage.objects.filter(published_at__isnull=False):
        assert row.published_at
        row.published_at -= by
        row.save()


def publish_all() -> None:
    OutboxMessage.objects.filter(published_at__isnull=True).update(published_at=timezone.now())


@pytest.mark.django_db
def test_requests_are_repeated_after_15_minutes_an_hour_6_hours_then_daily() -> None:
    a_subscription()
    requested_after = []
    waited = timedelta()
    for _ in range(4 * 24 * 4):  # four days, in quarters of an hour
        publish_all()
        pass_time(15 * MINUTE)
        waited += 15 * MINUTE
        before = len(published())
        code_requests.request_again()
        if len(published()) > before:
            requested_after.append(waited)
            waited = timedelta()

    assert (
        requested_after
        == [15 * MINUTE, 60 * MINUTE, 360 * MINUTE, *[timedelta(days=1)] * 3][
            : len(requested_after)
        ]
    )
    assert len(requested_after) == 6


@pytest.mark.django_db
def test_a_repeated_request_is_a_new_event_with_the_first_as_its_cause() -> None:
    a_subscription()
    for wait in (15 * MINUTE, 60 * MINUTE):
        publish_all()
        pass_time(wait)
        code_requests.request_again()

    first, second, third = published()
    assert len({first.id, second.id, third.id}) == 3
    assert (second.causationid, third.causationid) == (first.id, first.id)
    assert second.data == third.data == first.data


@pytest.mark.django_db
def test_a_request_in_the_outbox_is_not_repeated() -> None:
    a_subscription()
    pass_time(timedelta(days=2))
    code_requests.request_again()

    assert len(published()) == 1


@pytest.mark.django_db
def test_the_wait_for_an_answer_counts_from_the_publication() -> None:
    a_subscription()
    pass_time(timedelta(days=2))
    publish_all()
    code_requests.request_again()
    sent_directly = len(published())
    pass_time(15 * MINUTE)
    code_requests.request_again()

    assert (sent_directly, len(published())) == (1, 2)


@pytest.mark.django_db
def test_a_request_that_was_pruned_counts_as_published() -> None:
    long_ago = timezone.now() - timedelta(days=50)
    subscription = a_subscription()
    OutboxMessage.objects.all().delete()
    Subscription.objects.update(created_at=long_ago, next_request_at=long_ago)
    code_requests.request_again()

    [request] = published()
    assert request.causationid == subscription.first_request_id


def lose_its_key() -> None:
    """The relay cannot open the request, counts that, and tries it again forever."""
    [row] = OutboxMessage.objects.all()
    OutboxMessage.objects.update(body=b"\x04lost and gone", created_at=row.created_at - 15 * MINUTE)
    OutboxMessage.objects.all().mark_refused(row.id, "sealed with key 'lost'", pause=300.0)


@pytest.mark.django_db
def test_a_request_that_cannot_be_published_is_repeated() -> None:
    a_subscription()
    lose_its_key()
    pass_time(15 * MINUTE)
    code_requests.request_again()

    assert OutboxMessage.objects.filter(attempts=0).count() == 1


@pytest.mark.django_db
def test_a_repair_repeats_a_request_that_cannot_be_published() -> None:
    subscription = a_subscription()
    lose_its_key()
    with transaction.atomic():
        code_requests.request_at_once([subscription.id])

    assert OutboxMessage.objects.filter(attempts=0).count() == 1


@pytest.mark.django_db
def test_nothing_is_requested_once_the_code_has_arrived() -> None:
    subscription = a_subscription()
    publish_all()
    deliver(a_code_for(subscription.id))
    pass_time(timedelta(days=2))

    assert code_requests.request_again() == 0


@pytest.mark.django_db
def test_the_task_continues_until_all_are_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_requests, "BATCH", 2)
    for _ in range(5):
        a_subscription()
    publish_all()
    pass_time(15 * MINUTE)
    tasks.request_again()

    assert len(published()) == 10


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_requests, "BATCH", 3)
    for _ in range(12):
        a_subscription()
    publish_all()
    pass_time(15 * MINUTE)
    together = Barrier(2)

    def work(_: int) -> None:
        together.wait(timeout=30)
        try:
            tasks.request_again()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as workers:
        list(workers.map(work, range(2)))

    assert sorted(Subscription.objects.values_list("requests", flat=True)) == [2] * 12
    assert len(published()) == 24


@pytest.fixture(autouse=True)
def worker_runs() -> Iterator[None]:
    """Another test may have stopped a worker in this process."""
    stopping.clear()
    yield
    stopping.clear()
