"""Request bodies: chunked, endless, too large, incomplete; and complete responses."""

from __future__ import annotations

import pytest
from subscriptions.models import Subscription

from tests.web_process.steps import GOOD, assert_refused, post
from tools.system.web_process import Client, WebProcess

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_chunked_body_is_read(web: WebProcess, key: str) -> None:
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (GOOD[:10], GOOD[10:], b"")]
    client = web.client().send(post(key, "Transfer-Encoding: chunked", length=-1), *chunks)

    answer = client.answer()

    assert answer.status == 202
    assert answer.headers["Location"].endswith(answer.json["id"])


def test_an_endless_body_is_refused(web: WebProcess, key: str) -> None:
    client = web.client().send(post(key, "Transfer-Encoding: chunked", length=-1))

    refuse_endless(client)

    assert_refused(client.answer(), 413, "too_large")


def refuse_endless(client: Client) -> None:
    chunk = b"%x\r\n%b\r\n" % (60_000, b" " * 60_000)
    for _ in range(1_000):
        if client.is_answered(0.02):
            return
        client.send(chunk)
    pytest.fail("60 MB were accepted")


@pytest.mark.parametrize("length", [262_145, 1_000_000], ids=["a little", "much"])
def test_a_body_that_is_too_large_is_refused_as_a_problem(
    web: WebProcess, key: str, length: int
) -> None:
    body = GOOD.ljust(length) if length < 300_000 else b""  # the head is enough to refuse it
    answer = web.client().send(post(key, length=length), body).answer()

    assert_refused(answer, 413, "too_large")


def test_an_incomplete_body_changes_nothing(web: WebProcess, key: str) -> None:
    before = Subscription.objects.count()
    web.client().send(post(key), GOOD[:-1]).close()

    assert web.client().send(post(key), GOOD).answer().status == 202
    assert Subscription.objects.count() == before + 1


@pytest.mark.parametrize("query", ["cursor=%FF", "cursor=\xff"], ids=["escaped", "raw"])
def test_a_query_that_is_not_utf_8_is_refused_as_a_problem(
    web: WebProcess, key: str, query: str
) -> None:
    answer = web.get(f"/v1/subscriptions?{query}", f"Authorization: Bearer {key}")

    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "charset", ["*=nope''x", "*=idna''%ff", "*=utf-8''\x85", "=hex", "=idna", "=undefined"]
)
def test_a_content_type_that_cannot_be_read_is_refused_as_a_problem(
    web: WebProcess, key: str, charset: str
) -> None:
    content_type = f"Content-Type: application/json; charset{charset}"
    head = post(key, content_type).replace(b"Content-Type: application/json\r\n", b"")
    with_query = head.replace(b"/v1/subscriptions ", b"/v1/subscriptions?a=%FF ")

    assert_refused(web.client().send(head, GOOD).answer(), 415, "unsupported_media_type")
    assert_refused(web.client().send(with_query, GOOD).answer(), 400, "invalid")
    page = web.get("/v1/subscriptions?limit=1", f"Authorization: Bearer {key}", content_type)
    assert page.status == 200


def test_the_files_of_the_api_page_are_sent_completely(web: WebProcess) -> None:
    answer = web.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")

    assert answer.status == 200
    assert len(answer.body) == int(answer.headers["Content-Length"]) > 1_000_000
