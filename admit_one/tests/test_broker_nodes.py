"""A broker with several nodes: when one is away, another is used within seconds."""

from __future__ import annotations

import socket
import ssl
import threading
from functools import partial
from typing import Any

import pytest
from admit_one.messaging.broker import amqp_patches
from admit_one.messaging.broker import connection as broker
from amqp.transport import SSLTransport
from django.conf import settings

from tests.consumer.steps import handled, requests, send
from tests.processes import broker_url
from tools.system.eventually import eventually
from tools.system.gate import Gate, through
from tools.system.left_out import skip_without_rabbitmq
from tools.system.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)

WITHIN = 10.0
"""Seconds: far less than a node takes to come back."""


@pytest.fixture
def other_gate():
    with Gate(settings.BROKER_URL) as gate:
        yield gate


def has_handled(number: int) -> bool:
    return bool(handled() == number)


def list_of(*ports):
    return ";".join(broker_url(port) for port in ports)


@pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])
def test_a_dead_node_in_the_list_keeps_no_process_waiting(start, broker_gate, command):
    listed = list_of(free_port(), broker_gate.port, free_port())
    process = start(command, TEST_BROKER_URL=listed).until_ready()

    assert process.said(" waits: ") == 0
    assert process.stop()[0] == 0


def test_a_consumer_goes_on_at_the_node_that_is_left(start, prefix, broker_gate, other_gate):
    listed = list_of(broker_gate.port, other_gate.port)
    process = start("consume_events", TEST_BROKER_URL=listed).until_ready()
    for dead in (broker_gate, other_gate):
        before = handled()
        dead.close()
        send(prefix, *requests(3))
        eventually(partial(has_handled, before + 3), within=WITHIN)
        dead.open()

    assert process.stop()[0] == 0


def test_nodes_are_tried_in_an_order_of_chance(messaging, monkeypatch):
    messaging(BROKER_URL=list_of(*range(1, 9)))
    tried = []

    def refuse(url, role):
        tried.append(url)
        raise ConnectionRefusedError

    monkeypatch.setattr(broker, "_connect", refuse)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            broker.connect("test")

    assert sorted(tried[:8]) == sorted(tried[8:]) == sorted(set(tried))
    assert tried[:8] != tried[8:]


def test_a_node_that_says_no_is_reported_rather_than_one_that_is_away(messaging):
    skip_without_rabbitmq()
    refused = through(int(broker_port()), "amqp://nobody:wrong-password@127.0.0.1:5672//")
    messaging(BROKER_URL=f"{refused};amqp://nobody:wrong-password@127.0.0.1:1//")
    for _ in range(4):
        with pytest.raises(broker.BROKER_ERRORS) as error:
            broker.connect("test")

        assert "ACCESS_REFUSED" in str(error.value)


@pytest.fixture
def many_addresses(monkeypatch):
    """Let the name broker.test have these addresses of this machine."""

    def set_up(*addresses):
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *_, **__: entries if host == "broker.test" else real(host, *_, **__),
        )

    real = socket.getaddrinfo
    return set_up


def test_each_address_of_a_name_is_tried_though_the_first_accepts_and_is_silent(
    messaging, many_addresses, monkeypatch, broker_gate
):
    monkeypatch.setattr(broker, "IO_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.2", broker_gate.port)):
        many_addresses("127.0.0.2", "127.0.0.3", "127.0.0.1")
        named = broker_url(broker_gate.port).replace("127.0.0.1", "broker.test")
        messaging(BROKER_URL=named)
        connection = eventually(connected_or_none)

    assert connection.connected
    broker.drop(connection)


def connected_or_none():
    try:
        return broker.connect("test")
    except broker.BROKER_ERRORS:
        return None


def test_a_resolver_that_hangs_is_left_in_time_and_its_late_answer_is_used(
    messaging, monkeypatch, broker_gate
):
    answers, asked = threading.Event(), []
    real = socket.getaddrinfo

    def resolve(host, *args, **options):
        asked.append(host)
        answers.wait(60)
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(amqp_patches, "LOOKUP_TIMEOUT", 0.05)
    messaging(BROKER_URL=broker_url(broker_gate.port).replace("127.0.0.1", "slow.test"))
    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"slow\.test could not be looked up"):
            broker.connect("test")
    answers.set()
    monkeypatch.setattr(amqp_patches, "LOOKUP_TIMEOUT", 60)
    connection = broker.connect("test")

    assert connection.connected
    assert asked.count("slow.test") == 1
    broker.drop(connection)


def broker_port():
    return settings.BROKER_URL.rpartition(":")[2].strip("/")


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"cert_reqs": ssl.CERT_REQUIRED}, "node-b"), ({"cert_reqs": ssl.CERT_NONE}, None)],
)
def test_a_nodes_certificate_must_be_for_its_own_name(monkeypatch, given, expected):
    seen = []
    monkeypatch.setattr(
        SSLTransport, "_wrap_socket_sni", lambda _, sock, **options: seen.append(options)
    )
    transport: Any = SSLTransport("node-b:5671", ssl=given)

    transport._wrap_socket(None, **transport.sslopts)

    assert seen[0].get("server_hostname") == expected
