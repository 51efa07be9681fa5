from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from access_codes import tasks
from access_codes.mails import sending
from admit_one.messaging import retention, wake
from admit_one.messaging.models import InboxMessage, OutboxMessage
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.tasks import app as celery_app
from admit_one.tasks.app import for_a_run, stopping
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import UserSubscribed
from student_service.celery import app

from tests.smtp_server import Mailbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were asked for."""
    names: list[str] = []
    monkeypatch.setattr(wake, "task", names.append)
    return names


def subscribe(count: int) -> None:
    deliver(*(an_envelope(UserSubscribed, email=f"user{n}@example.com") for n in range(count)))


def test_every_scheduled_task_exists() -> None:
    app.loader.import_default_modules()

    assert set(app.conf.beat_schedule) <= set(app.tasks)


def test_new_codes_wake_the_mail_worker(woken: list[str]) -> None:
    subscribe(3)

    assert woken == ["student_service.send_pending_mails"]


def test_a_run_that_sends_everything_asks_for_no_other(mailbox: Mailbox, woken: list[str]) -> None:
    subscribe(3)
    woken.clear()

    tasks.send_pending_mails()

    assert len(mailbox.mails) == 3
    assert woken == []


def test_a_run_whose_time_is_up_asks_for_another(
    mailbox: Mailbox, woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celery_app, "RUN_SECONDS", 0.5)
    mailbox.pause_at_data = 0.2
    subscribe(20)
    woken.clear()

    tasks.send_pending_mails()

    assert 1 <= len(mailbox.mails) < 20
    assert woken == ["student_service.send_pending_mails"]


def test_a_worker_that_is_told_to_stop_asks_for_nothing(mailbox: Mailbox, woken: list[str]) -> None:
    subscribe(3)
    woken.clear()
    stopping.set()
    try:
        tasks.send_pending_mails()
    finally:
        stopping.clear()

    assert mailbox.mails == []
    assert woken == []


def test_a_run_outlasts_a_mail_server_that_is_away(
    mailbox: Mailbox, settings: Settings, woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_PORT = 1
    subscribe(3)
    woken.clear()
    rest = stopping.wait

    def back_meanwhile(seconds: float) -> bool:
        settings.EMAIL_PORT = mailbox.port
        return rest(seconds)

    monkeypatch.setattr(stopping, "wait", back_meanwhile)

    tasks.send_pending_mails()

    assert len(mailbox.mails) == 3
    assert woken == []


@pytest.fixture
def database_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets so many looks at the mails that are due fail."""
    monkeypatch.setattr(tasks, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(tasks, "LONGEST_PAUSE", 0.01)
    look = sending.send_due_mails

    def away(times: int) -> None:
        failures = iter(range(times))

        def looked(go_on: Callable[[], bool]) -> int:
            if next(failures, None) is None:
                return look(go_on)
            raise OperationalError("the database system is starting up")

        monkeypatch.setattr(sending, "send_due_mails", looked)

    return away


@pytest.mark.django_db(transaction=True)
def test_a_run_outlasts_a_database_that_is_away(
    mailbox: Mailbox,
    database_away: Callable[[int], None],
    woken: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscribe(3)
    woken.clear()
    database_away(tasks.MOST_FAILURES - 1)

    tasks.send_pending_mails()

    assert len(mailbox.mails) == 3
    assert woken == []
    assert [text for text in caplog.messages if "away" in text] == [
        "database away, mails wait: the database system is starting up"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_run_fails_when_the_database_stays_away(
    mailbox: Mailbox, database_away: Callable[[int], None]
) -> None:
    subscribe(3)
    database_away(tasks.MOST_FAILURES)

    with pytest.raises(OperationalError):
        tasks.send_pending_mails()

    assert mailbox.mails == []
    tasks.send_pending_mails()
    assert len(mailbox.mails) == 3


def test_messages_are_pruned_when_their_retention_has_ended() -> None:
    subscribe(2)
    long_ago = timezone.now() - timedelta(days=400)
    OutboxMessage.objects.update(created_at=long_ago, published_at=long_ago)
    InboxMessage.objects.update(received_at=long_ago)
    subscribe(1)

    tasks.prune()

    assert (OutboxMessage.objects.count(), InboxMessage.objects.count()) == (1, 1)


def test_pruning_goes_on_in_another_run_until_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, woken: list[str]
) -> None:
    subscribe(3)
    woken.clear()
    long_ago = timezone.now() - timedelta(days=91)
    InboxMessage.objects.update(received_at=long_ago)
    monkeypatch.setattr(retention, "BATCH", 1)
    two_batches = iter([True, True])
    monkeypatch.setattr(tasks, "for_a_run", lambda _: lambda: next(two_batches, False))
    tasks.prune()
    in_no_time = InboxMessage.objects.count(), list(woken)
    monkeypatch.setattr(tasks, "for_a_run", for_a_run)
    tasks.prune()

    assert in_no_time == (2, [tasks.prune.name])
    assert (InboxMessage.objects.count(), woken) == (0, [tasks.prune.name])
