"""Limits per key, and per address for requests without a valid key."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from admit_one.processes.announcer import Announcer
from admit_one.web import metrics
from admit_one.web.limits import counting, sharing
from admit_one.web.limits.counts import Counts
from django.test import Client
from pytest_django import Settings

from tests.conftest import Api
from tests.factories import a_payload

LIST = "/v1/subscriptions"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def new_announcers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("key_announcer", "address_announcer", "failure_announcer"):
        monkeypatch.setattr(counting, name, Announcer())


def fail(times: int = 1, address: str = "192.0.2.1", key: str = "wrong") -> list[Any]:
    client = Client(headers={"Authorization": f"Bearer {key}"}, REMOTE_ADDR=address)
    return [client.get(LIST) for _ in range(times)]


def statuses(answers: list[Any]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_each_answer_says_how_much_is_left(shop: Api) -> None:
    first, second = shop.get(LIST), shop.post({})

    assert first["RateLimit-Policy"] == second["RateLimit-Policy"] == '"key";q=6000;w=60'
    assert re.fullmatch(r'"key";r=5999;t=\d{1,2}', first["RateLimit"])
    assert re.fullmatch(r'"key";r=5998;t=\d{1,2}', second["RateLimit"])


def test_a_key_over_its_limit_gets_429_and_changes_nothing(
    shop: Api, other_shop: Api, settings: Settings
) -> None:
    settings.API_RATE_PER_KEY = 2
    shop.get(LIST)
    shop.get(LIST)
    answer = shop.post()

    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["title"]) == ("rate_limited", "Too Many Requests")
    assert 1 <= int(answer["Retry-After"]) <= 90
    assert answer["RateLimit"] == f'"key";r=0;t={answer["Retry-After"]}'
    assert other_shop.get(LIST).json()["results"] == []


def test_requests_that_fail_count_too(shop: Api, settings: Settings) -> None:
    settings.API_RATE_PER_KEY = 2

    assert statuses([shop.post({}), shop.get(f"{LIST}/x"), shop.get(LIST)]) == [400, 404, 429]


def test_a_log_names_the_key_that_is_over_its_limit_once(
    shop: Api, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.API_RATE_PER_KEY = 1
    for _ in range(5):
        shop.get(LIST)

    [record] = caplog.records
    assert (record.levelno, record.event) == (logging.WARNING, "key_over_limit")  # type: ignore[attr-defined]
    assert shop.key.split("_")[1] in caplog.text
    assert shop.key[-43:] not in caplog.text


def test_an_address_without_a_valid_key_gets_429_after_the_limit(settings: Settings) -> None:
    settings.API_RATE_PER_ADDRESS = 3
    answers = fail(4)

    assert statuses(answers) == [401, 401, 401, 429]
    assert answers[0]["RateLimit-Policy"] == '"address";q=3;w=60'
    assert int(answers[3]["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in answers[3]


def test_a_valid_key_works_from_an_address_that_is_over_its_limit(
    shop: Api, settings: Settings
) -> None:
    settings.API_RATE_PER_ADDRESS = 3
    fail(10)
    shop.http.defaults["REMOTE_ADDR"] = "192.0.2.1"

    assert shop.get(LIST).status_code == 200


def test_one_attacker_locks_out_no_other_address(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.API_RATE_PER_ADDRESS = 2
    for n in range(100):
        fail(3, f"198.51.100.{n}")

    assert statuses(fail(1, "192.0.2.1")) == [401]
    events = [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert events == ["address_over_limit", "many_failures"]


def test_more_addresses_than_are_counted_are_answered_as_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_RATE_PER_ADDRESS = 1
    monkeypatch.setattr(sharing, "addresses", Counts(most=2))
    for n in range(10):
        fail(1, f"198.51.100.{n}")

    assert statuses(fail(2, "192.0.2.1")) == [401, 401]
    assert statuses(fail(1, "198.51.100.0")) == [429]


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::1"),
        ("[2001:db8::1]", "2001:db8::2", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1", "192.0.2.1"),
        ("", "a-name", "192.0.2.1"),
        ("ada@example.com", "x" * 1_000, "192.0.2.1"),
    ],
)
def test_an_address_is_what_one_client_has(
    one: str, same: str, other: str, settings: Settings
) -> None:
    settings.API_RATE_PER_ADDRESS = 1

    assert statuses([*fail(1, one), *fail(1, same), *fail(1, other)]) == [401, 429, 401]


def test_health_checks_and_the_api_page_are_not_counted(settings: Settings) -> None:
    settings.API_RATE_PER_ADDRESS = 1
    fail(2)
    client = Client(REMOTE_ADDR="192.0.2.1")
    answers = [client.get(path) for path in ("/health/live", "/v1/schema", "/nothing") * 2]

    assert statuses(answers) == [200, 200, 404] * 2
    assert not any("RateLimit" in answer for answer in answers)


def value(metric: Any, suffix: str, **labels: str) -> float:
    samples = [sample for family in metric.collect() for sample in family.samples]
    values = (s.value for s in samples if s.name.endswith(suffix) and s.labels == labels)
    return float(sum(values))


def test_requests_are_measured_by_route_and_never_by_path(shop: Api) -> None:
    labels = {"route": "subscription", "method": "GET", "status": "4xx"}
    before = value(metrics.REQUESTS, "_count", **labels)
    shop.get(f"{LIST}/secret-looking-path")
    shop.get("/also/secret-looking")
    shop.http.generic("SECRET", LIST)
    shop.http.head("/health/live")
    [family] = metrics.REQUESTS.collect()

    assert value(metrics.REQUESTS, "_count", **labels) == before + 1
    assert value(metrics.REQUESTS, "_sum", **labels) > 0
    seen = {tuple(map(sample.labels.get, labels)) for sample in family.samples}
    assert seen >= {
        ("health_live", "HEAD", "2xx"),
        ("subscriptions", "other", "4xx"),
        ("none", "GET", "4xx"),
    }
    assert "secret" not in str(seen).lower()


def test_refusals_are_counted_by_reason(shop: Api, settings: Settings) -> None:
    settings.API_RATE_PER_KEY = settings.API_RATE_PER_ADDRESS = 1
    reasons = ("missing_scope", "key_over_limit", "no_valid_key", "address_over_limit")
    before = [value(metrics.REFUSED, "_total", reason=reason) for reason in reasons]
    Api("reader", "subscriptions:read").post(a_payload())
    shop.get(LIST)
    shop.get(LIST)
    fail(2)

    after = [value(metrics.REFUSED, "_total", reason=reason) for reason in reasons]
    assert [a - b for a, b in zip(after, before, strict=True)] == [1, 1, 1, 1]
