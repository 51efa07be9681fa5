"""SIGTERM ends each process in every state: exit 0, within 5 s idle and 10 s busy."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.testing import an_envelope
from admit_one.processes.stopping import Stop
from django.db import transaction
from shared_contracts.events import AccessCodeCreated, UserSubscribed

from tests import rabbit
from tests.models import Effect
from tests.processes import broker_url, eventually

IDLE, BUSY = 5.0, 10.0

both = pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_process_stops_at_once(start, command, number):
    process = start(command).until_ready()

    started = time.monotonic()
    process.signal(number)

    assert process.wait() == 0
    assert time.monotonic() - started < IDLE


@both
def test_it_stops_while_the_port_of_the_broker_is_closed(start, command):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    process = start(command, TEST_BROKER_URL=broker_url(port)).until(" waits: ")

    code, seconds = process.stop()

    assert code == 0
    assert seconds < IDLE


@both
def test_it_stops_while_the_broker_never_answers(start, command):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start(command, TEST_BROKER_URL=broker_url(silent.getsockname()[1]))
        connected, _ = silent.accept()

        code, seconds = process.stop()

        connected.close()
    assert code == 0
    assert seconds < IDLE


@both
def test_it_stops_while_the_broker_is_silent(start, broker_proxy, command):
    process = start(command, TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    broker_proxy.silence()

    code, seconds = process.stop()

    assert code == 0
    assert seconds < IDLE


def test_the_relay_stops_while_it_waits_for_confirms(start, broker_proxy, prefix):
    rabbit.bind(prefix, "student_service.events", "access_code_created")
    process = start("relay_outbox", TEST_BROKER_URL=broker_url(broker_proxy.port)).until_ready()
    broker_proxy.silence()
    with transaction.atomic():
        outbox.publish(*(an_envelope(AccessCodeCreated) for _ in range(50)))
    time.sleep(0.3)  # no fact to wait for: nothing that it does now can be seen from outside

    code, seconds = process.stop()

    assert code == 0
    assert seconds < BUSY


def test_a_busy_consumer_finishes_and_acknowledges_before_it_stops(start, prefix):
    process = start("consume_events").until_ready()
    slow = an_envelope(UserSubscribed, user_id="slow-3")
    rabbit.send(prefix, slow.to_json())
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") == 0)

    code, seconds = process.stop()

    assert code == 0
    assert seconds < BUSY
    assert Effect.objects.count() == 1
    assert rabbit.depth(f"{prefix}student_service.inbox") == 0


def test_a_consumer_out_of_time_requeues_the_rest(start, prefix):
    """A batch that fails is redone message by message, which may take long: that must end, too."""
    inbox = f"{prefix}student_service.inbox"
    process = start("consume_events").until_ready()
    rabbit.send(prefix, an_envelope(UserSubscribed).to_json())  # from now on with full prefetch
    eventually(lambda: Effect.objects.count() == 1)
    messages = [an_envelope(UserSubscribed, user_id="slow-0.2") for _ in range(60)]
    messages[50] = an_envelope(UserSubscribed, user_id="fail")
    rabbit.send(prefix, *(m.to_json() for m in messages))
    process.until("one by one", 60)

    code, seconds = process.stop()

    assert code == 0
    assert seconds < BUSY
    assert process.said("stops: asked to stop")
    eventually(lambda: rabbit.depth(inbox) > 0)


def test_a_second_signal_ends_the_process_at_once(start, prefix):
    process = start("consume_events").until_ready()
    rabbit.send(prefix, an_envelope(UserSubscribed, user_id="slow-30").to_json())
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") == 0)
    process.signal(signal.SIGTERM)
    time.sleep(0.2)  # two signals sent in one breath may arrive as one

    code, seconds = process.stop()

    assert code == 128 + signal.SIGTERM
    assert seconds < 1
    eventually(lambda: rabbit.depth(f"{prefix}student_service.inbox") == 1)


def test_waiting_works_with_thousands_of_open_descriptors():
    near, far = os.pipe()
    high = fcntl.fcntl(near, fcntl.F_DUPFD, 1024)
    try:
        os.write(far, b"\0")
        started = time.monotonic()
        Stop().wait(20.0, high)
    finally:
        for descriptor in (near, far, high):
            os.close(descriptor)

    assert time.monotonic() - started < 10.0
