"""One request has one answer: no request smuggling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from subscriptions.models import Subscription

from tests.web_process.steps import GET_LIVE, GOOD, assert_refused, post
from tools.system.web_process import WebProcess, request

pytestmark = pytest.mark.django_db(transaction=True)

UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"),
    "tls": ("Connection: Upgrade", "Upgrade: TLS/1.0, HTTP/1.1"),
    "websocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
}


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
def test_a_body_after_an_upgrade_is_not_read_as_a_request(
    web: WebProcess, key: str, upgrade: tuple[str, ...]
) -> None:
    smuggled = request("GET", "/v1/nothing")

    client = web.client().send(post(key, *upgrade, length=len(smuggled)), smuggled)

    assert_refused(client.answer(), 400, "parse_error")
    assert client.send(GET_LIVE).answer().json == {"status": "ok"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Proto: https, secret",
        'X-Forwarded-For: "192.0.2.1',
        'X-Forwarded-For: 192.0.2.1, "secret',
    ],
)
def test_a_header_of_our_proxy_that_cannot_be_read_is_refused_as_a_problem(
    web: WebProcess, method: str, header: str
) -> None:
    client = web.client().send(request(method, "/v1/subscriptions", header))

    answer = client.answer(to_head=method == "HEAD")

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    if method == "GET":
        assert_refused(answer, 400, "bad_request")
        assert header.partition(":")[0] in answer.json["detail"]
    assert client.send(GET_LIVE).answer().json == {"status": "ok"}
    assert not web.process.said("secret")


def test_a_malformed_request_is_refused_as_a_problem(web: WebProcess) -> None:
    client = web.client().send(b"GET / HTTP/1.1\r\nno header but secret\r\n\r\n")

    answer = client.answer()

    assert_refused(answer, 400, "bad_request")
    assert b"secret" not in answer.body
    assert client.is_closed()


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
def test_a_body_of_ambiguous_length_is_refused_and_not_read_as_a_request(
    web: WebProcess, key: str, version: str, length: int, headers: list[str]
) -> None:
    head = post(key, *headers, length=length).replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1)
    client = web.client().send(head + IN_CHUNKS + GET_LIVE)

    assert_refused(client.answer(), 400, "bad_request")
    assert client.is_closed()
    assert Subscription.objects.count() == 0


REPEATED = {
    "Authorization": "Bearer admit_000000000000_x",
    "Content-Length": f"{len(GOOD)}",
    "Content-Type": "application/json",
    "Host": "testserver",
    "Idempotency-Key": "another",
    "X-Request-ID": "another",
    "X-Forwarded-Proto": "http",
}


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("spelled", [str, str.upper])
def test_a_header_with_one_value_that_comes_twice_is_refused_by_name(
    web: WebProcess, key: str, name: str, spelled: Callable[[str], str]
) -> None:
    once = ("Idempotency-Key: k", "X-Request-ID: r", "X-Forwarded-Proto: https")
    head = post(key, *once, f"{spelled(name)}: {REPEATED[name]}")

    answer = web.client().send(head, GOOD).answer()

    assert_refused(answer, 400, "bad_request")
    assert answer.json["detail"] == f"expected the header {name} once"
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize(
    "coding",
    ["chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", ", chunked", "", " \t"],
)
def test_a_body_coded_twice_or_in_no_named_way_is_refused(
    web: WebProcess, key: str, coding: str
) -> None:
    head = post(key, f"Transfer-Encoding: {coding}", length=-1)

    client = web.client().send(head + IN_CHUNKS + GET_LIVE)

    assert_refused(client.answer(), 400, "bad_request")
    assert client.is_closed()


@pytest.mark.parametrize(
    "headers",
    ["Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunked\r\n\t, chunked", "X-A: b\r\n c"],
)
def test_a_header_that_goes_on_in_a_second_line_is_refused(
    web: WebProcess, key: str, headers: str
) -> None:
    client = web.client().send(post(key, headers, length=-1) + IN_CHUNKS + GET_LIVE)

    answer = client.answer()

    assert_refused(answer, 400, "bad_request")
    assert answer.json["detail"] == "expected each header on one line"
    assert client.is_closed()
    assert Subscription.objects.count() == 0


def test_http_1_1_without_a_host_is_refused_by_name(web: WebProcess) -> None:
    client = web.client().send(GET_LIVE.replace(b"Host: testserver\r\n", b""))

    answer = client.answer()

    assert_refused(answer, 400, "bad_request")
    assert answer.json["detail"] == "expected the header Host"


@pytest.mark.parametrize("target", ["http://[::1", "http://a]:80/v1"])
def test_a_malformed_request_target_is_refused(web: WebProcess, target: str) -> None:
    client = web.client().send(request("GET", target))

    assert_refused(client.answer(), 400, "bad_request")
    assert client.is_closed()
