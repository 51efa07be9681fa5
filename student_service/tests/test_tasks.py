from __future__ import annotations

from collections.abc import Callable

import pytest
from access_codes import tasks
from access_codes.mails import sending
from access_codes.models import MailIntent
from admit_one.database import outage
from admit_one.messaging import wake
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.processes import Announcer
from admit_one.tasks import outages, runs
from admit_one.tasks.runs import stopping
from django.db import OperationalError
from pytest_django import Settings
from shared_contracts.events import UserSubscribed
from student_service.celery import app

from tests.mails.smtp_server import Mailbox

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_outage_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_announcer", Announcer())


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tasks that were woken."""
    names: list[str] = []
    monkeypatch.setattr(wake, "task", names.append)
    return names


def subscribe(count: int) -> None:
    deliver(*(an_envelope(UserSubscribed, email=f"user{n}@example.com") for n in range(count)))


def test_every_scheduled_task_exists() -> None:
    app.loader.import_default_modules()

    names = {
        f"student_service.{task}"
        for task in (
            *("send_pending_mails", "report_grants", "remind_expiring"),
            *("forget_runs", "prune", "report_ended", "send_webhooks"),
            *("erase_requested", "request_erasures_again"),
        )
    }
    assert set(app.conf.beat_schedule) == names
    assert names <= set(app.tasks)


def test_new_codes_wake_the_mail_worker(woken: list[str]) -> None:
    subscribe(3)

    assert woken == ["student_service.send_pending_mails"]


def test_a_run_that_sends_everything_wakes_no_other_run(mailbox: Mailbox, woken: list[str]) -> None:
    subscribe(3)
    woken.clear()

    tasks.send_pending_mails()

    assert len(mailbox.mails) == 3
    assert woken == []


def test_a_run_whose_time_is_up_wakes_another_run(
    mailbox: Mailbox, woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUN_SECONDS", 0.5)
    mailbox.pause_at_data = 0.2
    subscribe(20)
    woken.clear()

    tasks.send_pending_mails()

    assert 1 <= len(mailbox.mails) < 20
    assert woken == ["student_service.send_pending_mails"]


def test_a_stopping_worker_sends_nothing_and_wakes_no_run(
    mailbox: Mailbox, woken: list[str]
) -> None:
    subscribe(3)
    woken.clear()
    stopping.set()
    try:
        tasks.send_pending_mails()
    finally:
        stopping.clear()

    assert mailbox.mails == []
    assert woken == []


def test_a_run_outlasts_an_outage_of_the_mail_server(
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
    """Make the next `times` queries for due mails fail."""
    monkeypatch.setattr(tasks, "LONGEST_PAUSE", 0.01)
    look = sending.send_due_mails

    def unavailable(times: int) -> None:
        failures = iter(range(times))

        def looked(go_on: Callable[[], bool]) -> int:
            if next(failures, None) is None:
                return look(go_on)
            raise OperationalError("the database system is starting up")

        monkeypatch.setattr(sending, "send_due_mails", looked)

    return unavailable


@pytest.mark.django_db(transaction=True)
def test_a_run_outlasts_an_outage_of_the_database(
    mailbox: Mailbox,
    database_away: Callable[[int], None],
    woken: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscribe(3)
    woken.clear()
    database_away(7)

    tasks.send_pending_mails()

    assert len(mailbox.mails) == 3
    assert woken == []
    assert [text for text in caplog.messages if "unavailable" in text] == [
        "the database is unavailable, and the tasks wait: the database system is starting up"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_run_fails_if_the_database_stays_unavailable(
    mailbox: Mailbox, database_away: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "LONGEST_OUTAGE", 0.05)
    subscribe(3)
    database_away(1_000)

    with pytest.raises(outage.NotNow):
        tasks.send_pending_mails()

    assert mailbox.mails == []
    assert MailIntent.objects.due().count() == 3
