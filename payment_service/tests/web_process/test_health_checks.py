"""Health checks are answered whatever the name, the method and the family of the address."""

from __future__ import annotations

import socket

import pytest
from admit_one.web_process.server import LIVE
from django.db import connection

from tests.web_process.steps import GET_LIVE, GOOD, no_writes, post
from tools import rest
from tools.system.eventually import eventually
from tools.system.ports import free_port
from tools.system.web_process import CONNECTIONS, WebProcess, request, running

pytestmark = pytest.mark.django_db(transaction=True)

READY = "/health/ready"


def with_host(head: bytes, host: str) -> bytes:
    return head.replace(b"testserver", host.encode())


@pytest.mark.parametrize("host", ["10.42.8.201:8000", "evil.example", "[::1]:8000", "a b", ""])
def test_any_host_may_check_the_health_and_see_nothing_else(web: WebProcess, host: str) -> None:
    for path in (LIVE, READY):
        answer = web.client().send(with_host(request("GET", path), host)).answer()
        assert (answer.status, answer.json) == (200, {"status": "ok"})

    refused = web.client().send(with_host(request("GET", "/v1/subscriptions"), host)).answer()

    assert refused.status == 400
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_a_request_for_another_host_is_logged_in_one_line(web: WebProcess) -> None:
    before = len(web.process.lines)

    web.client().send(with_host(request("GET", "/v1/docs"), "evil.example")).answer()

    [line] = web.process.lines[before:]
    assert "Invalid HTTP_HOST header: 'evil.example'" in line


@pytest.mark.parametrize("path", [LIVE, READY, "/v1/subscriptions", "/v1/nothing", "/v1/docs"])
def test_a_response_to_head_has_no_body_that_could_be_the_next_response(
    web: WebProcess, key: str, path: str
) -> None:
    authorization = f"Authorization: Bearer {key}"
    expected = web.get(path, authorization)
    client = web.client().send(request("HEAD", path, authorization), GET_LIVE)

    head = client.answer(to_head=True)

    assert (head.status, head.headers.keys()) == (expected.status, expected.headers.keys())
    assert client.answer().json == {"status": "ok"}


def test_a_refused_head_has_no_body_either(web: WebProcess) -> None:
    client = web.client().send(b"HEAD / HTTP/1.1\r\nno header\r\n\r\n")

    assert client.answer(to_head=True).status == 400
    assert client.is_closed()


needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")


@needs_ipv6
def test_both_families_are_served_and_a_proxy_is_believed_by_either() -> None:
    with running(host="::", HSTS_SECONDS="60") as web:
        by_ipv4, by_ipv6 = (
            web.client(address).send(request("GET", LIVE, "X-Forwarded-Proto: https")).answer()
            for address in ("127.0.0.1", "::1")
        )

        assert (by_ipv4.status, by_ipv6.status) == (200, 200)
        # The trusted proxy is 127.0.0.1, however the socket shows it.
        assert "max-age=60" in by_ipv4.headers["Strict-Transport-Security"]
        assert "Strict-Transport-Security" not in by_ipv6.headers
        assert f"serves http://[::]:{web.port}" in web.process.lines[0]


def test_the_health_port_never_waits_for_a_connection(key: str) -> None:
    port = free_port()
    with running(HEALTH_PORT=str(port)) as web, no_writes():
        busy = [web.client().send(post(key), GOOD) for _ in range(CONNECTIONS)]
        eventually(lambda: web.process.said(f"all {CONNECTIONS} connections are taken"))

        at_port = f"http://127.0.0.1:{port}"
        alive, ready = (rest.call("GET", f"{at_port}{path}") for path in (LIVE, READY))
        metrics = rest.call("GET", f"{at_port}/metrics").body
        waiting = web.client().send(GET_LIVE)

        assert (alive.status, ready.status) == (200, 200)
        assert ready.body == {
            "status": "ok", "service": "payment_service", "role": "web", "reasons": []
        }  # fmt: skip
        assert f"web_connections {CONNECTIONS}.0" in metrics.splitlines()
        assert not any(client.is_answered() for client in (*busy, waiting))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no read-only replica")
def test_a_session_that_cannot_write_is_not_ready_and_is_dropped_at_once(key: str) -> None:
    def answers(*parts: bytes) -> set[int]:
        """From more requests than there are threads; the server takes no more connections."""
        statuses = {web.client().send(*parts).answer().status for _ in range(8)}
        web.close_all()
        return statuses

    port = free_port()
    with running(HEALTH_PORT=str(port)) as web:
        try:
            let_new_sessions_write(False)
            refused = answers(post(key), GOOD)
            unready = answers(request("GET", READY))
            at_port = rest.call("GET", f"http://127.0.0.1:{port}{READY}")
        finally:
            let_new_sessions_write(True)
        ready = web.get(READY).status
        web.close_all()

        assert (refused, unready, ready) == ({503}, {503}, 200)
        assert at_port.body["reasons"] == ["the database is read-only"]
        assert answers(post(key), GOOD) == {202}


def let_new_sessions_write(yes: bool) -> None:
    """As at a fail-over; without it, all sessions but ours end as well."""
    name, value = connection.settings_dict["NAME"], "off" if yes else "on"
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')
        if not yes:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
