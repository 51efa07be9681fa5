"""Slow clients are cut off, and do not delay others."""

from __future__ import annotations

import time

import pytest
from admit_one.web_process.server import LIVE

from tests.web_process.steps import GET_LIVE, GOOD, HALF_HEADERS, assert_refused, no_writes, post
from tools.system.eventually import eventually
from tools.system.web_process import (
    BODY_SECONDS,
    CONNECTIONS,
    HEADER_SECONDS,
    WebProcess,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_client_that_trickles_its_headers_is_cut_off(web: WebProcess) -> None:
    client = web.client().send(HALF_HEADERS)

    took = client.trickle(b"x")

    assert_refused(client.answer(), 408, "timeout")
    assert client.is_closed()
    assert HEADER_SECONDS < took < HEADER_SECONDS + 5


def test_a_client_that_trickles_its_body_is_cut_off(web: WebProcess, key: str) -> None:
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


def test_incomplete_requests_do_not_delay_others(web: WebProcess, key: str) -> None:
    began = time.monotonic()
    half = [web.client().send(post(key), b"{") for _ in range(CONNECTIONS - 2)]

    answer = web.client().send(post(key), GOOD).answer()

    assert answer.status == 202
    assert time.monotonic() - began < BODY_SECONDS
    assert not any(client.is_answered() for client in half)


def test_connections_are_limited_and_waiting_clients_are_served_next(web: WebProcess) -> None:
    began = time.monotonic()
    half = [web.client().send(HALF_HEADERS) for _ in range(CONNECTIONS)]
    eventually(lambda: web.process.said(f"all {CONNECTIONS} connections are taken"))

    answer = web.get(LIVE)

    assert answer.status == 200
    assert time.monotonic() - began > HEADER_SECONDS  # no client left before its deadline
    assert half[0].answer().status == 408


def test_the_liveness_check_never_waits_for_other_requests(web: WebProcess, key: str) -> None:
    with no_writes():
        posts = [web.client().send(post(key), GOOD) for _ in range(CONNECTIONS - 2)]

        answer = web.get(LIVE)

        assert answer.status == 200
        assert not any(client.is_answered() for client in posts)
    assert {client.answer().status for client in posts} == {202}
