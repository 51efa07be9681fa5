"""The ASGI application itself, called as a web server calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from threading import Barrier
from typing import Any

import pytest
from admit_one.web.asgi import ThreadedHandler
from admit_one.web.models import ApiKey
from django.db import connection, connections
from django.db.backends.signals import connection_created

from tests.factories import a_payload

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = json.dumps(a_payload()).encode()


@pytest.fixture
def web() -> Iterator[ThreadedHandler]:
    handler = ThreadedHandler()
    yield handler
    threads = handler._threads
    together = Barrier(threads._max_workers)

    def close() -> None:
        together.wait(timeout=30)
        connections.close_all()

    closed = [threads.submit(close) for _ in range(together.parties)]
    threads.shutdown()
    assert [one.result() for one in closed] == [None] * together.parties


async def call(
    web: ThreadedHandler, method: str, path: str, *chunks: bytes, query: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send a request in these chunks; a length only if a header says one."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [
            (b"host", b"testserver"),
            (b"content-type", b"application/json"),
            *((name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()),
        ],
    }
    waiting = [
        *({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks),
        {"type": "http.request", "body": b"", "more_body": False},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await web(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, body


def post(web: ThreadedHandler, *chunks: bytes) -> tuple[int, dict[str, str], bytes]:
    key = ApiKey.objects.issue("shop")
    request = call(web, "POST", "/v1/subscriptions", *chunks, authorization=f"Bearer {key}")
    return asyncio.run(request)


def test_the_process_says_what_it_is_and_where_its_rows_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from payment_service import asgi  # noqa: PLC0415 (the import is what starts it)

    said = capsys.readouterr().err
    assert isinstance(asgi.application, ThreadedHandler)
    assert said.startswith(
        "payment_service web: records subscriptions, shows their codes; database"
    )


def test_a_body_in_chunks_without_a_length_is_read(web: ThreadedHandler) -> None:
    status, headers, body = post(web, GOOD[:10], GOOD[10:])

    assert status == 202
    assert headers["Location"].endswith(json.loads(body)["id"])


def test_a_body_that_is_too_large_is_not_read_to_its_end(web: ThreadedHandler) -> None:
    asked_for = 0

    def chunks() -> Iterator[bytes]:
        nonlocal asked_for
        for _ in range(1_000):
            asked_for += 1
            yield b" " * 60_000

    endless = chunks()

    async def upload() -> tuple[int, str]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": next(endless), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [
            (b"host", b"testserver"),
            (b"authorization", f"Bearer {key}".encode()),
            (b"content-type", b"application/json"),
        ]
        scope = {"type": "http", "method": "POST", "path": "/v1/subscriptions", "headers": headers}
        await web({"query_string": b"", "http_version": "1.1", **scope}, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])["code"]

    key = ApiKey.objects.issue("shop")

    assert asyncio.run(upload()) == (413, "too_large")
    assert asked_for == 2


def test_requests_share_the_connections_of_a_few_threads(web: ThreadedHandler) -> None:
    key = ApiKey.objects.issue("shop")
    opened: list[Any] = []

    def count(**new: Any) -> None:
        opened.append(new["connection"])

    async def many() -> list[int]:
        posts = (
            call(web, "POST", "/v1/subscriptions", GOOD, authorization=f"Bearer {key}")
            for _ in range(40)
        )
        return [status for status, *_ in await asyncio.gather(*posts)]

    connection_created.connect(count)
    try:
        statuses = asyncio.run(many())
    finally:
        connection_created.disconnect(count)

    assert set(statuses) == {202}
    assert 1 <= len(opened) <= (4 if connection.vendor == "postgresql" else 1)


def test_a_client_that_leaves_before_its_body_is_complete_changes_nothing(
    web: ThreadedHandler,
) -> None:
    async def leave() -> list[Any]:
        sent: list[Any] = []
        messages = [
            {"type": "http.request", "body": GOOD, "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await web({"type": "http"}, receive, send)
        return sent

    assert asyncio.run(leave()) == []


def test_a_query_that_is_not_utf_8_is_refused_as_a_problem(web: ThreadedHandler) -> None:
    status, headers, body = asyncio.run(call(web, "GET", "/v1/subscriptions", query=b"cursor=\xff"))

    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(body)["instance"] == "/v1/subscriptions"


def test_the_files_of_the_api_page_are_sent_whole(web: ThreadedHandler) -> None:
    path = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
    status, headers, body = asyncio.run(call(web, "GET", path))

    assert status == 200
    assert len(body) == int(headers["Content-Length"]) > 1_000_000
