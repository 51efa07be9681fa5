"""A worker is woken once something is to be sent, and no request waits for the broker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from admit_one.messaging import wake
from admit_one.messaging.wake_thread import WakeThread
from admit_one.webhooks import report
from admit_one.webhooks import wake as our_wake
from django.db import transaction

from tests.effects import Failed
from tests.webhooks.steps import MADE, THING, an_endpoint, happen

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://shop.example.com/"


@pytest.fixture
def woken(messaging: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The task that each wake-up names, and the thread that sends it."""
    messaging(CELERY_APP="tests.no_app")
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(wake, "_requested", wake._Requested())
    monkeypatch.setattr(
        wake, "_send_task", lambda name: sent.append((name, threading.current_thread().name))
    )
    return sent


def test_a_commit_wakes_a_worker_and_a_rollback_does_not(woken: list[tuple[str, str]]) -> None:
    an_endpoint(URL)
    with suppress(Failed), transaction.atomic():
        report(MADE, [THING])
        raise Failed
    assert woken == []
    happen()

    assert [name for name, _ in woken] == ["student_service.send_webhooks"]


def test_what_nobody_listens_to_wakes_nobody(woken: list[tuple[str, str]]) -> None:
    happen()

    assert woken == []


def test_in_a_web_process_a_thread_sends_the_wake_up(
    woken: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    an_endpoint(URL)
    sent = threading.Event()
    broker_answers = threading.Event()

    def send(name: str) -> None:
        broker_answers.wait(10)
        woken.append((name, threading.current_thread().name))
        sent.set()

    relay: Any = WakeThread(lambda: None)
    relay.start()
    monkeypatch.setattr(wake, "_send_task", send)
    monkeypatch.setattr(wake, "relay_thread", relay)
    monkeypatch.setattr(our_wake, "_thread", WakeThread(our_wake._send))
    happen()  # returns although the broker says nothing
    assert woken == []
    broker_answers.set()

    assert sent.wait(10)
    assert woken == [("student_service.send_webhooks", "wake-ups")]
