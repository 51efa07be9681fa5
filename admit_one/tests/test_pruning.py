"""The pruning task of every service deletes old rows, in short runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.messaging import retention, wake
from admit_one.messaging.models import InboxMessage, OutboxMessage
from admit_one.tasks import runs
from admit_one.tasks.schedule import prune
from django.utils import timezone

pytestmark = pytest.mark.django_db

LONG_AGO = timezone.now() - timedelta(days=400)


@pytest.fixture
def woken(monkeypatch):
    """The tasks that were woken."""
    names: list[str] = []
    monkeypatch.setattr(wake, "task", names.append)
    return names


@pytest.fixture(autouse=True)
def worker_runs():
    """Another test's worker may have been asked to stop in this process."""
    runs.stopping.clear()


def old_events(count):
    for n in range(count):
        InboxMessage.objects.create(event_id=n, source="s", type="t", subject="s", fingerprint=b"")
    InboxMessage.objects.update(received_at=LONG_AGO)


def test_messages_past_their_retention_are_deleted(woken):
    old_events(2)
    OutboxMessage.objects.create(event_id="old", type="t", subject="s", body=b"")
    OutboxMessage.objects.update(created_at=LONG_AGO, published_at=LONG_AGO)
    InboxMessage.objects.create(
        event_id="young", source="s", type="t", subject="s", fingerprint=b""
    )

    prune()

    assert list(InboxMessage.objects.values_list("event_id", flat=True)) == ["young"]
    assert (OutboxMessage.objects.count(), woken) == (0, [])


def test_pruning_wakes_another_run_until_nothing_is_left(monkeypatch, woken):
    old_events(3)
    monkeypatch.setattr(retention, "BATCH", 1)
    two_looks = iter([True, True])  # the first one is at the outbox, which is empty
    with monkeypatch.context() as patch:
        patch.setattr(runs, "for_a_run", lambda _: lambda: next(two_looks, False))
        prune()
    after_two = InboxMessage.objects.count(), list(woken)
    prune()

    assert after_two == (2, ["student_service.prune"])
    assert (InboxMessage.objects.count(), woken) == (0, ["student_service.prune"])


def test_a_stopping_worker_wakes_no_other_run(monkeypatch, woken):
    old_events(2)
    monkeypatch.setattr(retention, "BATCH", 1)
    two_looks = iter([True, True])  # the first one is at the outbox, which is empty
    monkeypatch.setattr(runs, "for_a_run", lambda _: lambda: next(two_looks, False))
    runs.stopping.set()
    try:
        prune()
    finally:
        runs.stopping.clear()

    assert (InboxMessage.objects.count(), woken) == (1, [])
