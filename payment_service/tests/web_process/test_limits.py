"""Limits, last use and metrics of real web processes."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from signal import SIGCONT, SIGSTOP

import pytest
from admit_one.web.models import ApiKey, RateCount
from django.db import connection, transaction
from django.db.models import F, Sum
from redis import Redis

from tools.servers.redis_server import RedisServer, skip_without_redis
from tools.system.eventually import eventually
from tools.system.ports import free_port
from tools.system.web_process import Client, WebProcess, request, running

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/v1/subscriptions"


def get(web: WebProcess, key: str) -> int:
    with closing(Client(web.port)) as client:
        head = request("GET", LIST, f"Authorization: Bearer {key}")
        return client.send(head).answer().status


def shared(key: str) -> int:
    """How many requests with this key the database knows of, in this minute and the one before."""
    of_key = RateCount.objects.filter(subject=key.split("_")[1])
    counted = of_key.aggregate(requests=Sum(F("count") + F("previous")))
    return counted["requests"] or 0


def failure(web: WebProcess, forwarded_for: str, source: str = "127.0.0.1") -> int:
    """The status of a request without a key, which comes from `source`."""
    with socket.create_connection(
        ("127.0.0.1", web.port), timeout=20, source_address=(source, 0)
    ) as peer:
        peer.sendall(request("GET", LIST, *forwarded_for.splitlines(), "Connection: close"))
        return int(peer.makefile("rb").readline().split()[1])


def test_two_processes_share_one_limit(key: str) -> None:
    with running(API_RATE_PER_KEY="50") as one, running(API_RATE_PER_KEY="50") as other:
        first = [get(one, key) for _ in range(40)]
        eventually(partial(shared, key), lambda requests: requests == 40)
        first.append(get(other, key))
        eventually(partial(shared, key), lambda requests: requests == 41)
        later = [get(other, key) for _ in range(30)]

    assert set(first) == {200}
    assert 429 in later[9:20]


def test_a_store_that_does_not_answer_delays_no_request(key: str) -> None:
    with running(API_RATE_PER_KEY="30") as web:
        assert get(web, key) == 200
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("LOCK TABLE web_ratecount, web_apikey IN EXCLUSIVE MODE")
            statuses = [get(web, key) for _ in range(40)]

        assert statuses == [200] * 29 + [429] * 11
        eventually(partial(shared, key), lambda requests: requests == 30)


def test_the_last_use_of_a_key_is_recorded_soon(web: WebProcess, key: str) -> None:
    get(web, key)

    eventually(lambda: ApiKey.objects.get(prefix=key.split("_")[1]).last_used_at is not None)


def test_behind_a_trusted_proxy_the_address_that_it_added_counts() -> None:
    with running(API_RATE_PER_ADDRESS="2") as web:
        statuses = [failure(web, f"X-Forwarded-For: 203.0.113.{n}, 198.51.100.7") for n in range(3)]
        in_two_lines = failure(web, "X-Forwarded-For: 203.0.113.9\nX-Forwarded-For: 198.51.100.7")
        other = failure(web, "X-Forwarded-For: 198.51.100.7, 203.0.113.1")

    assert [*statuses, in_two_lines, other] == [401, 401, 429, 429, 401]


def test_from_any_other_peer_the_header_does_not_count() -> None:
    with running(API_RATE_PER_ADDRESS="2") as web:
        statuses = [
            failure(web, f"X-Forwarded-For: 198.51.100.{n}", source="127.0.0.9") for n in range(3)
        ]

    assert statuses == [401, 401, 429]


def test_the_metrics_of_a_web_process_are_on_its_health_port_only(key: str) -> None:
    port = free_port()
    with running(HEALTH_PORT=str(port)) as web:
        get(web, key)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            page = answer.read().decode()
        public = web.get("/metrics").status

    counted = 'web_request_seconds_count{method="GET",route="subscriptions",status="2xx"} 1.0'
    assert counted in page
    assert public == 404


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    skip_without_redis()
    with ExitStack() as stack:
        yield RedisServer(stack)


def in_redis(server: RedisServer, key: str) -> int:
    """How many requests with this key Redis knows of, in this minute and the one before."""
    with Redis.from_url(server.url) as redis:
        name = f"{{payment_service.limits}}:{key.split('_')[1]}"
        return sum(int(redis.hget(name, field) or 0) for field in ("count", "previous"))


def said(web: WebProcess, event: str) -> int:
    return web.process.output().count(f"event={event}")


def test_two_processes_share_one_limit_in_redis(key: str, redis_server: RedisServer) -> None:
    settings = {"API_RATE_PER_KEY": "50", "LIMITS_URL": redis_server.url}
    with running(**settings) as one, running(**settings) as other:
        first = [get(one, key) for _ in range(40)]
        eventually(partial(in_redis, redis_server, key), lambda requests: requests == 40)
        first.append(get(other, key))
        eventually(partial(in_redis, redis_server, key), lambda requests: requests == 41)
        later = [get(other, key) for _ in range(30)]

    assert set(first) == {200}
    assert 429 in later[9:20]
    assert RateCount.objects.count() == 0


@pytest.mark.parametrize("how", ["silent", "dead"])
def test_without_its_redis_each_process_counts_alone_and_no_request_waits(
    key: str, redis_server: RedisServer, how: str
) -> None:
    with running(API_RATE_PER_KEY="30", LIMITS_URL=redis_server.url) as web:
        assert get(web, key) == 200
        eventually(partial(in_redis, redis_server, key), lambda requests: requests == 1)
        if how == "silent":
            redis_server.process.signal(SIGSTOP)
        else:
            redis_server.kill()
        began = time.monotonic()
        statuses = [get(web, key) for _ in range(40)]
        took = time.monotonic() - began
        eventually(partial(said, web, "counts_not_shared"), lambda times: times == 1)
        if how == "silent":
            redis_server.process.signal(SIGCONT)
        else:
            redis_server.start()
        eventually(partial(said, web, "counts_shared"), lambda times: times == 1)

        assert statuses == [200] * 29 + [429] * 11
        assert took < 2
        assert said(web, "counts_not_shared") == 1
        assert in_redis(redis_server, key) >= 29
        assert redis_server.password not in web.process.output()
