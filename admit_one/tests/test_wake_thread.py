"""In a web process a thread wakes the relay, so that no request waits for it."""

from __future__ import annotations

import logging
import select
import threading

import pytest
from admit_one.database import outage, wake_up
from admit_one.messaging import outbox, wake, wake_thread
from admit_one.messaging.testing import an_envelope
from admit_one.messaging.wake_thread import INTERVAL, WakeThread
from django.db import OperationalError, transaction

from tests.contract.events import AccessCodeCreated
from tools.system.eventually import eventually


class Sender:
    """Counts what it sends; each takes until `go_on`."""

    def __init__(self) -> None:
        self.sent = 0
        self.go_on = threading.Event()

    def __call__(self) -> None:
        self.sent += 1
        self.go_on.wait(10)


@pytest.fixture
def sender():
    sender = Sender()
    yield sender
    sender.go_on.set()


def test_all_that_is_wanted_while_one_is_sent_is_one_more(sender):
    thread = WakeThread(sender)
    thread.start()
    thread.ring()
    eventually(lambda: sender.sent == 1)
    for _ in range(100):
        thread.ring()
    sender.go_on.set()
    eventually(lambda: sender.sent == 2)

    assert not threading.Event().wait(20 * INTERVAL)
    assert sender.sent == 2


def test_a_thread_that_was_not_started_is_not_running(sender):
    assert not WakeThread(sender).is_running()


@pytest.mark.django_db(transaction=True)
def test_the_thread_wakes_who_listens():
    listener = wake_up.listener(wake.RELAY_CHANNEL)
    listener.clear()

    def send():
        wake_up.notify(wake.RELAY_CHANNEL)
        outage.forget_connection()  # otherwise it would be open when the test database is dropped

    thread = WakeThread(send)
    thread.start()
    thread.ring()

    readable, _, _ = select.select([listener], [], [], 5.0)
    assert readable == [listener]
    listener.close()


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_while_the_database_is_away_one_wake_up_is_repeated_until_it_is_sent(
    monkeypatch, caplog, failures
):
    monkeypatch.setattr(wake_thread, "AGAIN", 0.01)
    left, sent = [OperationalError("postgres://user:hunter2@host is away")] * failures, []

    def send():
        if left:
            raise left.pop()
        sent.append("wake-up")

    thread = WakeThread(send)
    thread.start()
    with caplog.at_level(logging.WARNING):
        thread.ring()
        eventually(lambda: sent)

    assert len(caplog.records) == (0 if failures == 1 else 1)
    assert "hunter2" not in caplog.text
    thread.ring()
    eventually(lambda: len(sent) == 2)


@pytest.mark.django_db(transaction=True)
def test_the_thread_is_asked_after_the_commit_and_the_request_sends_nothing(monkeypatch):
    rung = []

    class Running(WakeThread):
        def is_running(self):
            return True

        def ring(self):
            rung.append(threading.current_thread())

    monkeypatch.setattr(wake, "relay_thread", Running(lambda: None))
    monkeypatch.setattr(wake, "send_waiting", lambda: pytest.fail("sent by the request"))
    with transaction.atomic():
        outbox.publish(an_envelope(AccessCodeCreated))
        before_commit = list(rung)

    assert (before_commit, rung) == ([], [threading.current_thread()])
