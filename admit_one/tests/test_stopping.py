"""SIGTERM ends each process in every state: exit 0, and not only because its time is up."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.testing import an_envelope
from admit_one.processes.stopping import Stop
from django.db import transaction

from tests import rabbit
from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect
from tests.processes import ROOT, broker_url
from tools.system.eventually import eventually
from tools.system.ports import free_port

IDLE, BUSY = 8.0, 20.0
"""Seconds. Idle, it takes 3.5 at most on a free machine; `LAST_RESORT` ends it after 9, which takes
longer on a busy one."""

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
    port = free_port()
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
def test_it_stops_while_the_broker_is_silent(start, broker_gate, command):
    process = start(command, TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    broker_gate.silence()

    code, seconds = process.stop()

    assert code == 0
    assert seconds < IDLE


def test_the_relay_stops_while_it_waits_for_confirms(start, broker_gate, prefix):
    rabbit.bind(prefix, "student_service.events", "access_code_created")
    process = start("relay_outbox", TEST_BROKER_URL=broker_url(broker_gate.port)).until_ready()
    broker_gate.silence()
    with transaction.atomic():
        outbox.publish(*(an_envelope(AccessCodeCreated) for _ in range(50)))
    broker_gate.until_held_back(10_000)  # the events, and no mere heartbeat

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
    # While it is busy, all the others arrive: they are one batch.
    rabbit.send(prefix, an_envelope(UserSubscribed, user_id="slow-3").to_json())
    eventually(lambda: rabbit.depth(inbox) == 0)
    messages = [an_envelope(UserSubscribed, user_id="slow-0.3") for _ in range(60)]
    messages[2] = an_envelope(UserSubscribed, user_id="fail")
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


@pytest.mark.parametrize("exit_code", [0, 3])
def test_work_that_never_ends_is_ended_with_the_exit_code_given(exit_code):
    program = (
        "import signal, time\n"
        "from admit_one.processes import stopping\n"
        "stopping.LAST_RESORT = 0.1\n"
        f"stopping.Stop().on_signals(exit_code={exit_code})\n"
        "signal.raise_signal(signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, timeout=30
    )

    assert ended.returncode == exit_code
    assert b"something does not answer" in ended.stderr


@pytest.mark.parametrize("words", [["why", b"\xff"], ["set_aside", "show", b"\xff"]], ids=str)
def test_an_argument_that_is_not_utf8_is_refused_in_one_line(words):
    ended = subprocess.run(
        [sys.executable, "-m", "django", *words],
        check=False,
        capture_output=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )

    assert (ended.returncode, ended.stderr) == (2, b"expected arguments in UTF-8\n")
