"""The web process itself: a real process, asked through sockets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from admit_one.web.models import ApiKey
from admit_one.web_process.server import LIVE
from django.db import connection, transaction
from subscriptions.models import Subscription

from tests.factories import a_payload
from tests.web_process import (
    BODY_SECONDS,
    CONNECTIONS,
    HEADER_SECONDS,
    HERE,
    Answer,
    Client,
    WebProcess,
    request,
    running,
    wait_for,
)

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = json.dumps(a_payload()).encode()
GET_LIVE = request("GET", LIVE)
HALF_HEADERS = GET_LIVE[:-2] + b"X-Half: "
UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    "websocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
}


@pytest.fixture
def key() -> str:
    return ApiKey.objects.issue("shop")


@pytest.fixture(scope="module")
def process(django_db_setup: None) -> Iterator[WebProcess]:
    with running() as web:
        yield web


@pytest.fixture
def web(process: WebProcess) -> Iterator[WebProcess]:
    yield process
    process.send_all_away()


def post(key: str, *headers: str, length: int = len(GOOD)) -> bytes:
    """The head of a POST whose body has this length; a negative one is left out."""
    content_length = [f"Content-Length: {length}"] if length >= 0 else []
    return request(
        "POST",
        "/v1/subscriptions",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        *content_length,
        *headers,
    )


def assert_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status


def test_the_process_says_what_it_is_and_where_its_rows_go(web: WebProcess) -> None:
    assert f"payment_service web: serves http://127.0.0.1:{web.port}; database" in web.lines[0]


def test_one_process_serves_so_kill_leaves_no_worker(web: WebProcess) -> None:
    assert web.children == []


def test_no_header_tells_which_server_it_is(web: WebProcess) -> None:
    assert "Server" not in web.get(LIVE).headers


# deadlines


def test_headers_that_trickle_are_cut_off(web: WebProcess) -> None:
    client = web.client().send(HALF_HEADERS)

    took = client.trickle(b"x")

    assert_refused(client.answer(), 408, "timeout")
    assert client.is_closed()
    assert HEADER_SECONDS < took < HEADER_SECONDS + 5


def test_a_body_that_trickles_is_cut_off(web: WebProcess, key: str) -> None:
    client = web.client().send(post(key))

    took = client.trickle(b" ")

    assert_refused(client.answer(), 408, "timeout")
    assert client.is_closed()
    assert BODY_SECONDS < took < BODY_SECONDS + 5


def test_each_request_of_a_connection_has_its_own_deadline(web: WebProcess) -> None:
    first, rest = GET_LIVE[:20], GET_LIVE[20:]
    client = web.client().send(first)
    for _ in range(5):
        # The end of one request and the beginning of the next arrive together.
        assert client.send(rest + first).answer().status == 200
        assert not client.is_answered(0.6 * HEADER_SECONDS)


def test_half_requests_keep_nobody_else_waiting(web: WebProcess, key: str) -> None:
    began = time.monotonic()
    half = [web.client().send(post(key), b"{") for _ in range(CONNECTIONS - 2)]

    answer = web.client().send(post(key), GOOD).answer()

    assert answer.status == 202
    assert time.monotonic() - began < BODY_SECONDS
    assert not any(client.is_answered() for client in half)


def test_connections_are_bounded_and_those_who_wait_come_next(web: WebProcess) -> None:
    began = time.monotonic()
    half = [web.client().send(HALF_HEADERS) for _ in range(CONNECTIONS)]
    wait_for(lambda: web.said(f"all {CONNECTIONS} connections are taken"))

    answer = web.get(LIVE)

    assert answer.status == 200
    assert time.monotonic() - began > HEADER_SECONDS  # nobody left of themselves
    assert half[0].answer().status == 408


def test_liveness_never_waits_behind_work(web: WebProcess, key: str) -> None:
    with no_writes():
        posts = [web.client().send(post(key), GOOD) for _ in range(CONNECTIONS - 2)]

        answer = web.get(LIVE)

        assert answer.status == 200
        assert not any(client.is_answered() for client in posts)
    assert {client.answer().status for client in posts} == {202}


@contextmanager
def no_writes() -> Iterator[None]:
    """Let no other process write a subscription within the block."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {Subscription._meta.db_table}")
        yield


# one answer for one request


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("together", [True, False], ids=["one segment", "two segments"])
def test_a_request_to_upgrade_is_served_as_http_1(
    web: WebProcess, key: str, upgrade: tuple[str, ...], together: bool
) -> None:
    head = post(key, *upgrade)
    client = web.client().send(head + GOOD) if together else web.client().send(head, GOOD)

    assert client.answer().status == 202
    assert client.send(GET_LIVE).answer().json == {"status": "ok"}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
def test_a_body_after_an_upgrade_is_never_another_request(
    web: WebProcess, key: str, upgrade: tuple[str, ...]
) -> None:
    smuggled = request("GET", "/v1/nothing")

    client = web.client().send(post(key, *upgrade, length=len(smuggled)), smuggled)

    assert_refused(client.answer(), 400, "parse_error")
    assert client.send(GET_LIVE).answer().json == {"status": "ok"}


def test_what_is_no_request_is_refused_as_a_problem(web: WebProcess) -> None:
    client = web.client().send(b"GET / HTTP/1.1\r\nno header but secret\r\n\r\n")

    answer = client.answer()

    assert_refused(answer, 400, "bad_request")
    assert b"secret" not in answer.body
    assert client.is_closed()


# bodies


CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)


@pytest.mark.parametrize(
    ("version", "length", "headers"),
    [
        ("1.1", 5, [CHUNKED]),
        ("1.1", len(IN_CHUNKS), [CHUNKED]),
        ("1.0", -1, [CHUNKED, "Connection: keep-alive"]),
        ("1.2", -1, [CHUNKED]),
        ("2.0", -1, [CHUNKED]),
        ("1.9", len(GOOD), []),
        ("1.1", -1, ["Content-Length: 5, 5"]),
        ("1.1", -1, [f"Content-Length: {'9' * 5_000}"]),
    ],
)
def test_a_body_whose_end_is_disputed_is_refused_and_starts_no_request(
    web: WebProcess, key: str, version: str, length: int, headers: list[str]
) -> None:
    head = post(key, *headers, length=length).replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1)
    client = web.client().send(head + IN_CHUNKS + GET_LIVE)

    assert_refused(client.answer(), 400, "bad_request")
    assert client.is_closed()
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize("target", ["http://[::1", "http://a]:80/v1"])
def test_an_address_that_cannot_be_read_is_answered(web: WebProcess, target: str) -> None:
    client = web.client().send(request("GET", target))

    assert_refused(client.answer(), 400, "bad_request")
    assert client.is_closed()


def test_a_body_in_chunks_without_a_length_is_read(web: WebProcess, key: str) -> None:
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (GOOD[:10], GOOD[10:], b"")]
    client = web.client().send(post(key, "Transfer-Encoding: chunked", length=-1), *chunks)

    answer = client.answer()

    assert answer.status == 202
    assert answer.headers["Location"].endswith(answer.json["id"])


def test_an_endless_body_is_refused_before_it_ends(web: WebProcess, key: str) -> None:
    client = web.client().send(post(key, "Transfer-Encoding: chunked", length=-1))

    refuse_endless(client)

    assert_refused(client.answer(), 413, "too_large")


def refuse_endless(client: Client) -> None:
    chunk = b"%x\r\n%b\r\n" % (60_000, b" " * 60_000)
    for _ in range(1_000):
        if client.is_answered(0.02):
            return
        client.send(chunk)
    pytest.fail("60 MB were taken")


@pytest.mark.parametrize("length", [65_537, 1_000_000], ids=["a little", "much"])
def test_a_body_that_is_too_large_is_refused_as_a_problem(
    web: WebProcess, key: str, length: int
) -> None:
    body = GOOD.ljust(length) if length < 100_000 else b""  # the head alone tells
    answer = web.client().send(post(key, length=length), body).answer()

    assert_refused(answer, 413, "too_large")


def test_a_client_that_leaves_before_its_body_is_complete_changes_nothing(
    web: WebProcess, key: str
) -> None:
    before = Subscription.objects.count()
    web.client().send(post(key), GOOD[:-1]).leave()

    assert web.client().send(post(key), GOOD).answer().status == 202
    assert Subscription.objects.count() == before + 1


@pytest.mark.parametrize("query", ["cursor=%FF", "cursor=\xff"], ids=["escaped", "raw"])
def test_a_query_that_is_not_utf_8_is_refused_as_a_problem(
    web: WebProcess, key: str, query: str
) -> None:
    answer = web.get(f"/v1/subscriptions?{query}", f"Authorization: Bearer {key}")

    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_files_of_the_api_page_are_sent_whole(web: WebProcess) -> None:
    answer = web.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")

    assert answer.status == 200
    assert len(answer.body) == int(answer.headers["Content-Length"]) > 1_000_000


# threads


def test_requests_share_the_connections_of_a_few_threads(web: WebProcess, key: str) -> None:
    def subscribe(_: int) -> int:
        client = web.client().send(post(key), GOOD)
        status = client.answer().status
        client.leave()
        return status

    with ThreadPoolExecutor(CONNECTIONS // 2) as clients:
        statuses = set(clients.map(subscribe, range(40)))

    assert statuses == {202}
    assert 1 <= connections_of(web) <= (4 if connection.vendor == "postgresql" else 1)


def connections_of(web: WebProcess) -> int:
    """How many connections to the database the web process has."""
    if connection.vendor == "sqlite":
        files = Path(f"/proc/{web.process.pid}/fd").iterdir()
        return [str(file.readlink()) for file in files].count(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


# its end


def test_an_idle_process_stops_at_once_with_its_connections(key: str) -> None:
    with running() as web:
        kept = web.client().send(GET_LIVE)
        assert kept.answer().status == 200

        web.process.send_signal(signal.SIGTERM)

        assert web.process.wait(5) == 0
        assert kept.is_closed()


def test_a_busy_process_answers_what_it_has_before_it_stops(key: str) -> None:
    with running() as web:
        with no_writes():
            client = web.client().send(post(key), GOOD)
            wait_for(lambda: web.get(LIVE).status == 200)  # so the POST has been read

            web.process.send_signal(signal.SIGTERM)
            wait_for(lambda: is_refused(web))  # it listens no more
        answer = client.answer()

        assert answer.status == 202
        assert web.process.wait(10) == 0


def is_refused(web: WebProcess) -> bool:
    try:
        web.client().leave()
    except ConnectionRefusedError:
        return True
    return False


def test_a_port_that_is_taken_is_reported_in_one_line(web: WebProcess) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "serve_web", "--port", str(web.port)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert f"--port: expected a free port of 127.0.0.1, got {web.port}" in done.stderr
    assert "Traceback" not in done.stderr
