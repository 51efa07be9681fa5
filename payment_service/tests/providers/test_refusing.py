"""What is not an event that the provider has just signed is refused, and nothing of it is kept."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from admit_one.web.limits import sharing
from admit_one.web.limits.counts import Counts
from django.test import Client
from prometheus_client import REGISTRY
from providers import stripe
from providers.fake_stripe import event, signature, written
from pytest_django import Settings
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    OTHER_SECRET,
    PATH,
    SALE,
    SECRET,
    nothing_was_kept,
    send,
    stripe_sends,
)

pytestmark = pytest.mark.django_db(transaction=True)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        str(vars(each).get("event")) for each in caplog.records if each.levelno == logging.ERROR
    ]


def test_the_version_is_that_of_the_stripe_library() -> None:
    import stripe as library  # noqa: PLC0415

    assert library.api_version == stripe.API_VERSION


def test_our_fake_signature_is_what_the_library_makes() -> None:
    from stripe import WebhookSignature  # noqa: PLC0415

    body = written(event(COMPLETED, SALE))
    made = signature(body, SECRET)
    at = int(made.partition(",")[0].removeprefix("t="))

    assert made == WebhookSignature.generate_signature_header(body.decode(), SECRET, at)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("six minutes old", {"ago": 360}),
        ("another secret", {"secret": OTHER_SECRET}),
        ("no header", {"header": ""}),
        ("another scheme", {"header": "t=1,v0=00"}),
        ("no time", {"header": "v1=00"}),
        ("not ASCII", {"header": f"t=1,v1={'é' * 64}"}),
        ("a time with too many digits", {"header": f"t={'9' * 5000},v1=00"}),
        ("many signatures", {"header": "t=1" + ",v1=00" * 2000}),
    ],
)
def test_what_stripe_has_not_just_signed_is_refused(how: str, options: dict[str, Any]) -> None:
    response = send(event(COMPLETED, SALE), **options)

    assert (response.status_code, response.json()["code"]) == (400, "invalid_signature")
    assert nothing_was_kept()


def test_a_forged_body_is_refused() -> None:
    body = written(event(COMPLETED, SALE))
    signed = signature(body, SECRET)
    forged = body.replace(b"ada@example.com", b"eve@example.com")
    response = send(forged, header=signed)

    assert response.status_code == 400
    assert nothing_was_kept()


def test_a_signature_of_almost_five_minutes_is_taken() -> None:
    assert send(event(COMPLETED, SALE), ago=290).status_code == 200


def test_two_secrets_are_valid_while_one_is_replaced(settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [OTHER_SECRET, SECRET]
    results = [
        send(event(COMPLETED, replace(SALE, name=secret[-4:])), secret=secret).status_code
        for secret in (SECRET, OTHER_SECRET)
    ]

    assert results == [200, 200]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"checkout",
        b"[]",
        b"null",
        b'"text"',
        b"{}x",
        b'{"api_version": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"id":"evt_1","id":"evt_2"}',
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
    ],
)
def test_what_is_no_json_object_is_refused_even_if_it_is_signed(body: bytes) -> None:
    response = send(body)

    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert nothing_was_kept()


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": "x" * 256},
        {"id": "evt 1"},
        {"type": 7},
        {"created": "now"},
        {"created": 10**20},
        {"livemode": "false"},
        {"data": None},
    ],
)
def test_an_event_without_what_all_have_is_refused(change: dict[str, Any]) -> None:
    response = send(event(COMPLETED, SALE) | change)

    assert (response.status_code, response.json()["code"]) == (400, "parse_error")
    assert nothing_was_kept()


@pytest.mark.parametrize("field", ["created", "livemode"])
def test_a_key_twice_is_refused(field: str) -> None:
    body = written(event(COMPLETED, SALE))
    response = send(body[:-1] + f',"{field}":1}}'.encode())

    assert response.status_code == 400
    assert nothing_was_kept()


def test_a_body_that_is_too_large_is_refused_before_it_is_read(settings: Settings) -> None:
    body = written(event(COMPLETED, SALE) | {"more": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
    response = send(body)

    assert (response.status_code, response.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("version", ["2025-03-31.basil", None, "é\n" * 100])
def test_another_version_is_refused_by_name_loudly(
    version: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"provider": "stripe", "reason": "version"}
    before = REGISTRY.get_sample_value("provider_events_refused_total", labels) or 0
    response = send(event(COMPLETED, SALE) | {"api_version": version})

    detail = response.json()["detail"]
    assert (response.status_code, response.json()["code"]) == (400, "unsupported_version")
    assert detail.startswith(f"expected an event of Stripe's API version {stripe.API_VERSION}, got")
    assert errors(caplog) == ["provider_event_refused"]
    assert REGISTRY.get_sample_value("provider_events_refused_total", labels) == before + 1
    assert nothing_was_kept()


def test_another_body_under_the_same_id_is_refused_loudly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stripe_sends(COMPLETED)
    caplog.clear()
    other = event(COMPLETED, replace(SALE, email="eve@example.com"))
    response = send(other)

    assert (response.status_code, response.json()["code"]) == (409, "event_id_reused")
    assert Subscription.objects.get().email == "ada@example.com"
    assert errors(caplog) == ["provider_event_refused"]
    assert "eve@" not in caplog.text


@pytest.mark.parametrize("path", [PATH, "/v1/webhooks/paddle"])
def test_a_provider_that_is_off_or_unknown_is_not_found(settings: Settings, path: str) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []
    response = Client().post(path, b"{}", "application/json")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_only_posts_are_taken() -> None:
    assert Client().get(PATH).status_code == 405


def test_forgers_are_limited_and_stripe_is_not(settings: Settings) -> None:
    settings.API_RATE_PER_ADDRESS = 3
    forged = [send(event(COMPLETED, SALE), secret=OTHER_SECRET).status_code for _ in range(5)]

    assert forged == [400, 400, 400, 429, 429]
    assert send(event(COMPLETED, SALE)).status_code == 200


def test_signed_events_count_against_no_limit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_RATE_PER_ADDRESS = 1
    monkeypatch.setattr(sharing, "addresses", Counts())
    statuses = {send(event(COMPLETED, replace(SALE, name=f"n{n}"))).status_code for n in range(5)}

    assert statuses == {200}
