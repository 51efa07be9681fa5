"""A wake-up is sent after the commit, not too often, and never blocks its sender."""

from __future__ import annotations

import logging
import select
import sys
import time
from types import ModuleType

import pytest
from admit_one.database import wake_up
from admit_one.messaging import outbox, wake
from admit_one.messaging.testing import an_envelope
from django.db import OperationalError, transaction

from tests.contract.events import AccessCodeCreated

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_requested_before(monkeypatch, messaging):
    messaging(CELERY_APP="student_service.celery.app")
    monkeypatch.setattr(wake, "_requested", wake._Requested())


@pytest.fixture
def listener():
    listener = wake_up.listener(wake.RELAY_CHANNEL)
    listener.clear()
    yield listener
    listener.close()


@pytest.fixture
def sent(monkeypatch):
    """The names of the Celery tasks sent; the sending itself is replaced."""
    names: list[str] = []
    monkeypatch.setattr(wake, "_send_task", names.append)
    return names


def woken(listener, seconds=5.0) -> bool:
    readable, _, _ = select.select([listener], [], [], seconds)
    listener.clear()
    return bool(readable)


def send_in_time():
    """What a consumer's loop does: wait for as long as `next_in` says, then send what is due."""
    deadline = time.monotonic() + wake.next_in()
    while (left := deadline - time.monotonic()) > 0:
        select.select([], [], [], left)
    wake.send_waiting()


def test_publishing_wakes_the_relay_after_the_commit(listener):
    with transaction.atomic():
        outbox.publish(an_envelope(AccessCodeCreated))
        before_commit = woken(listener, 0.1)

    assert not before_commit
    assert woken(listener)


def test_a_rollback_wakes_nobody(listener):
    with transaction.atomic():
        outbox.publish(an_envelope(AccessCodeCreated))
        transaction.set_rollback(True)

    assert not woken(listener, 0.1)


def test_a_cleared_listener_sees_no_wake_up_twice(listener):
    wake.relay()
    assert woken(listener)

    assert not woken(listener, 0.1)


def test_wake_ups_without_a_relay_are_harmless():
    for _ in range(3):
        wake.relay()

    listener = wake_up.listener(wake.RELAY_CHANNEL)

    assert not woken(listener, 0.05)
    listener.close()


def test_simultaneous_wake_ups_are_merged_and_the_rest_follows_later(sent):
    for _ in range(100):
        wake.task("a.task")
    after_a_hundred = list(sent)
    wait = wake.next_in()

    assert after_a_hundred == ["a.task"]
    assert 0 < wait <= wake.TASK_INTERVAL
    send_in_time()
    assert sent == ["a.task", "a.task"]
    assert wake.next_in() == float("inf")


def test_one_task_does_not_delay_another(sent):
    wake.task("a.task")
    wake.task("b.task")

    assert sent == ["a.task", "b.task"]


def test_a_deferred_relay_wake_up_is_sent_when_the_block_ends(listener):
    with wake.deferred():
        with transaction.atomic():
            wake.relay()
        inside = woken(listener, 0.1)

    assert not inside
    assert woken(listener)


def test_a_deferred_task_wake_up_is_postponed_only_once(sent):
    with wake.deferred(), transaction.atomic():
        wake.task("a.task")
    at_the_end, first_wait = list(sent), wake.next_in()
    with wake.deferred(), transaction.atomic():
        wake.task("a.task")

    assert at_the_end == []
    assert 0 < wake.next_in() <= first_wait <= wake.TASK_DELAY
    send_in_time()
    assert sent == ["a.task"]


def test_an_exception_keeps_the_wake_ups_of_earlier_commits(sent):
    with pytest.raises(ZeroDivisionError), wake.deferred():  # noqa: PT012 (the order is the claim)
        wake.task("a.task")
        raise ZeroDivisionError

    send_in_time()
    assert sent == ["a.task"]


def test_a_failed_wake_up_is_logged_once_and_harms_nobody(monkeypatch, caplog):
    tried = []

    def fail(name):
        tried.append(name)
        raise OSError("amqp://user:hunter2@host is away")

    monkeypatch.setattr(wake, "_send_task", fail)

    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            with transaction.atomic():
                wake.task("a.task")

    assert tried == ["a.task", "a.task"]  # the second over a new connection
    assert wake.next_in() > 20
    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text


def test_a_failed_wake_up_of_the_relay_delays_the_next_by_a_second_at_most(monkeypatch):
    monkeypatch.setattr(wake, "RELAY_PAUSE", 0.05)
    away, woken_up = [True], []

    def notify(channel):
        if away[0]:
            raise OperationalError("the database is away")
        woken_up.append(channel)

    monkeypatch.setattr(wake_up, "notify", notify)
    wake.relay()
    away[0] = False
    wake.relay()
    wait = wake.next_in()
    send_in_time()

    assert 0 < wait <= wake.RELAY_PAUSE
    assert woken_up == [wake.RELAY_CHANNEL]


def test_a_silent_broker_is_not_asked_twice(monkeypatch):
    tried = []

    def fail(name):
        tried.append(name)
        time.sleep(0.01)
        raise TimeoutError

    monkeypatch.setattr(wake, "AT_ONCE", 0.001)
    monkeypatch.setattr(wake, "_send_task", fail)
    wake.task("a.task")

    assert tried == ["a.task"]


@pytest.mark.parametrize("sign", [wake.try_again, lambda: wake.task("b.task")])
def test_after_a_failure_the_first_sign_of_the_broker_ends_the_pause(monkeypatch, sign):
    away, sent = [True], []

    def send(name):
        if away[0]:
            raise ConnectionRefusedError
        sent.append(name)

    monkeypatch.setattr(wake, "_send_task", send)
    for _ in range(2):
        wake.task("a.task")
    away[0] = False
    wake.send_waiting()
    while_it_pauses = list(sent)
    sign()
    wake.send_waiting()

    assert while_it_pauses == []
    assert "a.task" in sent


def test_the_celery_app_of_the_service_sends_the_task_without_retry(monkeypatch):
    calls = []

    class App:
        def send_task(self, name, **options):
            calls.append((name, options["retry"]))

    module = ModuleType("student_service.celery")
    vars(module)["app"] = App()
    monkeypatch.setitem(sys.modules, "student_service", ModuleType("student_service"))
    monkeypatch.setitem(sys.modules, "student_service.celery", module)

    wake.task("student_service.send_pending_mails")

    assert calls == [("student_service.send_pending_mails", False)]


def test_without_a_celery_app_no_task_is_sent(messaging, sent):
    messaging(CELERY_APP="")
    wake.task("a.task")

    assert sent == []
    assert wake.next_in() == float("inf")


def test_each_commit_wakes_the_relay(monkeypatch):
    woken: list[str] = []
    monkeypatch.setattr(wake_up, "notify", woken.append)
    for _ in range(3):
        with transaction.atomic():
            wake.relay()

    assert woken == [wake.RELAY_CHANNEL] * 3
