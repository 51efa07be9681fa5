"""What a process reports about itself over HTTP is true: tested with real processes."""

from __future__ import annotations

import json
import select
import signal
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest
from admit_one.messaging import outbox
from admit_one.messaging.incoming import queue_watch
from admit_one.messaging.incoming.queue_watch import DeliveryStalled, QueueWatch
from admit_one.messaging.models import InboxMessage, OutboxMessage
from admit_one.messaging.testing import an_envelope
from admit_one.processes import health_port, pulse
from admit_one.processes.pulse import Pulse
from django.conf import settings
from django.db import transaction

from tests import rabbit
from tests.brokers import Broker, Inbox, drain_until, publish, require_rabbitmq
from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.processes import broker_url
from tools.system.eventually import eventually
from tools.system.ports import free_port
from tools.system.process import Process

NOTICED = MENDED = 30.0
"""Seconds: what is promised."""


class Asked:
    """A process with a health port, and what it answers."""

    def __init__(self, start: Any, command: str, **environment: str) -> None:
        self.port = free_port()
        self.process: Process = start(command, HEALTH_PORT=str(self.port), **environment)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    @property
    def live(self) -> bool:
        return self.get("/health/live")[0] == 200

    @property
    def reasons(self) -> str:
        """Why it is not ready, in one text; empty if it is."""
        status, answer = self.get("/health/ready")
        said = json.loads(answer)
        assert (status == 200) == (said["status"] == "ok") == (said["reasons"] == [])
        return "; ".join(said["reasons"])

    def number(self, series: str) -> float:
        """The value of one series, such as `messaging_consumed_total{result="handled"}`."""
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(series)), 0.0)


@pytest.fixture
def asked(start):
    return lambda command, **environment: Asked(start, command, **environment)


def commands(*names: str) -> Any:
    return pytest.mark.parametrize("command", names)


both = commands("relay_outbox", "consume_events")


def request_bodies(number: int) -> list[bytes]:
    return [an_envelope(UserSubscribed).to_json() for _ in range(number)]


@both
def test_a_working_process_is_alive_and_ready_and_names_itself(asked, command):
    probe = asked(command)
    probe.process.until_ready()

    status, answer = probe.get("/health/ready")
    role = {"relay_outbox": "relay", "consume_events": "consumer"}[command]
    assert status == 200
    assert json.loads(answer) == {
        "status": "ok",
        "service": "student_service",
        "role": role,
        "reasons": [],
    }
    assert probe.live
    assert probe.number("messaging_ready") == 1
    assert probe.get("/")[0] == 404


@both
def test_a_process_that_waits_for_its_broker_is_alive_and_says_so(asked, command):
    port = free_port()
    probe = asked(command, TEST_BROKER_URL=broker_url(port))
    probe.process.until(" waits: ")

    assert "it waits: ConnectionRefusedError" in probe.reasons
    assert probe.live
    assert "guest" not in probe.reasons


@both
def test_a_half_open_connection_is_noticed_and_replaced(asked, broker_gate, command):
    probe = asked(command, TEST_BROKER_URL=broker_url(broker_gate.port))
    probe.process.until_ready()
    assert probe.reasons == ""
    broker_gate.silence()

    eventually(lambda: probe.reasons, within=NOTICED)
    assert probe.live
    broker_gate.open()
    eventually(lambda: not probe.reasons, within=MENDED)


def test_a_deleted_queue_is_noticed_and_consumed_once_declared_again(asked, prefix):
    probe = asked("consume_events")
    probe.process.until_ready()
    with rabbit.channel() as channel:
        channel.queue_delete(f"{prefix}student_service.inbox")  # the broker cancels the consumer

    eventually(lambda: "student_service.inbox" in probe.reasons, within=NOTICED)
    assert probe.live
    rabbit.declare(prefix)
    rabbit.send(prefix, *request_bodies(1))
    eventually(lambda: not probe.reasons, within=MENDED)
    eventually(lambda: InboxMessage.objects.count() == 1)
    assert probe.number("messaging_reconnects_total") >= 1


def test_the_deleted_queue_of_suspects_is_noticed_too(asked, prefix):
    probe = asked("consume_events")
    probe.process.until_ready()
    with rabbit.channel() as channel:
        channel.queue_delete(f"{prefix}student_service.dead")

    eventually(lambda: "student_service.dead" in probe.reasons, within=NOTICED)


def test_a_held_consumer_is_not_ready_and_says_why(asked, prefix):
    rabbit.send(prefix, *(an_envelope(UserSubscribed, user_id="fail").to_json() for _ in range(60)))
    probe = asked("consume_events")
    probe.process.until("holding the rest", 60)

    eventually(lambda: "too many messages in a row fail with ValueError" in probe.reasons)
    assert probe.live
    assert probe.number('messaging_consumed_total{result="failed"}') >= 50


def test_a_stopped_process_does_not_answer_at_all(asked):
    probe = asked("relay_outbox")
    probe.process.until_ready()
    probe.process.signal(signal.SIGSTOP)

    with socket.create_connection(("127.0.0.1", probe.port)) as sock:
        sock.settimeout(1)
        sock.sendall(b"GET /health/live HTTP/1.0\r\n\r\n")
        with pytest.raises(TimeoutError):
            sock.recv(1)
    probe.process.signal(signal.SIGCONT)
    eventually(lambda: not probe.reasons)


def test_a_consumer_counts_what_it_did(asked, prefix):
    bodies = request_bodies(3)
    rabbit.send(prefix, *bodies, bodies[0], b"{")
    probe = asked("consume_events")

    eventually(
        lambda: probe.process.said("ready") and probe.number("messaging_batch_size_sum") >= 0
    )
    eventually(lambda: probe.number('messaging_consumed_total{result="malformed"}') == 1)
    eventually(lambda: probe.number('messaging_consumed_total{result="handled"}') == 3)
    eventually(lambda: probe.number('messaging_consumed_total{result="duplicate"}') == 1)
    assert probe.number('messaging_batch_size_sum{direction="consumed"}') == 5
    eventually(
        lambda: probe.number('messaging_set_aside{group="Malformed: not JSON",state="dead"}') == 1
    )


def test_a_relay_counts_what_it_did(asked, prefix):
    rabbit.bind(prefix, "student_service.events", "access_code_created")
    with transaction.atomic():
        outbox.publish(*(an_envelope(AccessCodeCreated) for _ in range(3)))
    probe = asked("relay_outbox")

    probe.process.until_ready()
    eventually(lambda: probe.number("messaging_published_total") == 3)
    eventually(lambda: probe.number("messaging_outbox_unsent") == 0)
    assert OutboxMessage.objects.unsent().count() == 0


def test_broken_or_abandoned_requests_log_nothing(asked):
    probe = asked("relay_outbox")
    probe.process.until_ready()
    said = len(probe.process.lines)
    for words in (b"GET /metrics HTTP/1.0\r\n\r\n", b"\x16\x03\x01 nonsense\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.1", probe.port)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(words)

    assert probe.reasons == ""
    assert probe.process.lines[said:] == []


def test_an_occupied_port_ends_the_process_and_names_the_setting(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("relay_outbox", HEALTH_PORT=str(taken.getsockname()[1]))

        assert process.wait() == 1
    assert process.said("HEALTH_PORT: expected a free port of 127.0.0.1, got")


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid", "300.1.1.1"])
def test_a_wrong_address_ends_the_process_and_is_not_blamed_on_the_port(start, address):
    process = start("relay_outbox", HEALTH_PORT="9000", HEALTH_ADDRESS=address)

    assert process.wait() == 1
    assert process.said(f"HEALTH_ADDRESS: expected an address of this machine, got '{address}'")
    assert not process.said("HEALTH_PORT")


# by which address, method and name it is asked


@contextmanager
def served_at(address: str) -> Iterator[int]:
    server = health_port.HealthServer(address, 0, service="student_service", role="relay")
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    pulse.pulse.beat()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def exchange(address: str, port: int, *lines: str) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body of what a request with these lines is answered."""
    with socket.create_connection((address, port), timeout=10) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        head, _, body = b"".join(iter(lambda: sock.recv(65_536), b"")).partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return status, dict(header.split(": ", 1) for header in headers), body


has_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")


@pytest.mark.parametrize(
    ("address", "callers"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
        pytest.param("::1", ["::1"], marks=has_ipv6),
        pytest.param("[::1]", ["::1"], marks=has_ipv6),
        pytest.param("::", ["127.0.0.1", "::1"], marks=has_ipv6),
    ],
)
def test_the_port_answers_by_both_families(address, callers):
    with served_at(address) as port:
        for caller in callers:
            assert exchange(caller, port, "GET /health/live HTTP/1.1")[0] == "HTTP/1.0 200 OK"


@pytest.fixture
def patient_port() -> Iterator[int]:
    with served_at("127.0.0.1") as port:
        yield port


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/", "/health/live?x"])
def test_head_is_answered_like_get_without_the_body(patient_port, path):
    status, headers, body = exchange("127.0.0.1", patient_port, f"GET {path} HTTP/1.1")
    head = exchange("127.0.0.1", patient_port, f"HEAD {path} HTTP/1.1")

    assert head[0] == status
    assert set(head[1]) == set(headers)
    assert (head[2], body != b"") == (b"", True)
    assert "Server" not in headers


@pytest.mark.parametrize("host", ["10.42.8.201:8000", "evil.example", "", "ä"])
def test_any_host_is_answered(patient_port, host):
    lines = ("GET /health/live HTTP/1.1", f"Host: {host}")

    assert exchange("127.0.0.1", patient_port, *lines)[0] == "HTTP/1.0 200 OK"


def test_other_methods_are_refused_with_those_that_are_allowed(patient_port):
    post = exchange("127.0.0.1", patient_port, "POST /health/live HTTP/1.1")
    options = exchange("127.0.0.1", patient_port, "OPTIONS /health/live HTTP/1.1")
    broken = exchange("127.0.0.1", patient_port, "GET secret words HTTP/1.1")

    assert (post[0], post[1]["Allow"]) == (
        "HTTP/1.0 405 Method Not Allowed",
        options[1]["Allow"],
    )
    assert (options[0], options[1]["Allow"]) == ("HTTP/1.0 204 No Content", "GET, HEAD, OPTIONS")
    assert b"secret" not in broken[2]


# who asks slowly


@pytest.fixture
def port(monkeypatch) -> Iterator[int]:
    """A port with little patience and room for two."""
    monkeypatch.setattr(health_port, "PATIENCE", 1.0)
    monkeypatch.setattr(health_port, "PLACES", 2)
    with served_at("127.0.0.1") as port:
        yield port


def answer(port: int) -> bytes:
    """What comes for one request; nothing if it is turned away."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, suppress(OSError):
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return sock.recv(100)
    return b""


def test_a_client_that_trickles_bytes_is_disconnected(port):
    def cut() -> bool:
        try:
            dripping.sendall(b"x")
            readable, _, _ = select.select([dripping], [], [], 0.05)
            return bool(readable) and not dripping.recv(1)
        except OSError:
            return True

    with socket.create_connection(("127.0.0.1", port)) as dripping:
        eventually(cut, within=5)


def test_a_client_beyond_the_limit_is_refused_until_one_leaves(port):
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]

    turned_away = answer(port)
    eventually(lambda: answer(port).startswith(b"HTTP/1.0 404"))
    for sock in silent:
        sock.close()
    assert turned_away == b""


# the pulse


def test_a_stuck_loop_is_not_alive(monkeypatch):
    process_pulse = Pulse()
    process_pulse.connected()
    process_pulse.worked(frames=1)
    assert process_pulse.hangs() == ""
    monkeypatch.setattr(pulse, "STILL_ALIVE", -1.0)

    assert "its loop has made no progress" in process_pulse.hangs()
    assert process_pulse.hangs() in process_pulse.why_not_ready()
    process_pulse.rest()
    assert process_pulse.hangs() == ""


def test_a_silent_broker_is_reported_and_an_unused_database_is_not(monkeypatch):
    process_pulse = Pulse()
    process_pulse.connected()
    process_pulse.heard(1)
    monkeypatch.setattr(pulse, "RECENT", -1.0)

    assert [reason.split(" for ")[0] for reason in process_pulse.why_not_ready()] == [
        "nothing was heard from the broker"
    ]


def test_a_process_is_not_ready_before_it_starts_work():
    assert Pulse().why_not_ready() == ["it is starting"]


# the queue's watch


@pytest.fixture
def rabbitmq():
    require_rabbitmq()
    broker = Broker(str(settings.BROKER_URL))
    yield broker
    broker.clean()


def test_the_second_check_notices_waiting_messages_that_are_not_delivered(rabbitmq, monkeypatch):
    monkeypatch.setattr(queue_watch, "LOOK_EVERY", 0.0)
    third_party, ours = rabbitmq.channel(), rabbitmq.channel()
    queue = rabbitmq.queue(third_party, x_queue_type="quorum", x_single_active_consumer=True)
    first = Inbox(third_party, queue, prefetch=1)  # the broker delivers to this one alone
    Inbox(ours, queue)
    publish(rabbitmq, [b"1", b"2", b"3"], key=queue)
    first.wait_for(1)
    watched = QueueWatch(ours, queue)
    drain_until(ours, lambda: ours.queue_declare(queue, passive=True).message_count == 2)

    watched.look()
    with pytest.raises(DeliveryStalled, match=f"2 messages wait in {queue} and none is delivered"):
        watched.look()
    watched.delivered()
    watched.look()


def test_a_consumer_that_the_broker_has_forgotten_is_noticed(rabbitmq, monkeypatch):
    monkeypatch.setattr(queue_watch, "LOOK_EVERY", 0.0)
    ours = rabbitmq.channel()
    queue = rabbitmq.queue(ours)
    watched = QueueWatch(ours, queue)

    with pytest.raises(DeliveryStalled, match="no longer has a consumer"):
        watched.look()


def test_an_idle_consumer_queries_the_broker_rarely(rabbitmq):
    ours = rabbitmq.channel()
    queue = rabbitmq.queue(ours)
    watched = QueueWatch(ours, queue)
    ours.queue_delete(queue)

    watched.look()
