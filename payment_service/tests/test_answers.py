"""What all answers have in common."""

from __future__ import annotations

import json
import logging
import re

import pytest
from admit_one.web import health
from admit_one.web.models import ApiKeyQuerySet
from django.db import OperationalError, connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from drf_spectacular.validation import validate_schema
from subscriptions import services

from tests.conftest import Api
from tests.factories import a_payload


def test_every_answer_has_a_request_id_and_keeps_a_usable_one(shop: Api) -> None:
    given = shop.post(X_Request_ID="shop:42.a-b_c")
    invented = [shop.post(X_Request_ID=bad)["X-Request-ID"] for bad in ("", "a b", "x" * 129, "ä")]

    assert given["X-Request-ID"] == "shop:42.a-b_c"
    assert len(set(invented)) == 4
    assert all(re.fullmatch(r"[0-9a-f-]{36}", request_id) for request_id in invented)


@pytest.mark.parametrize("path", ["/v1/subscriptions", "/v1/docs", "/health/live", "/nothing"])
def test_every_answer_protects_the_browser(shop: Api, path: str) -> None:
    response = shop.get(path)

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


def test_no_cache_keeps_codes_and_addresses(shop: Api) -> None:
    location = shop.post()["Location"]

    for answer in (shop.post(), shop.get(location), shop.get("/v1/subscriptions")):
        assert answer["Cache-Control"] == "no-store"


def test_an_internal_error_is_a_problem_without_details(
    shop: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(services, "record_subscription", fail)
    shop.http.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        response = shop.post(X_Request_ID="find-me")

    assert (response.status_code, response["X-Request-ID"]) == (500, "find-me")
    assert response["Content-Type"] == "application/problem+json"
    assert b"inside" not in response.content
    assert "find-me" in caplog.text
    assert "ada@" not in caplog.text


def test_without_its_database_the_service_answers_503(
    shop: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection to server at 10.0.0.7 failed")

    monkeypatch.setattr(ApiKeyQuerySet, "raw", away)
    response = shop.post()

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response["Retry-After"] == "2"
    assert b"10.0.0.7" not in response.content
    assert "10.0.0.7" in caplog.text


def test_no_address_or_key_is_logged(shop: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        shop.post()
        shop.post(a_payload(email="wrong-address"))

    assert "ada@" not in caplog.text
    assert "wrong-address" not in caplog.text
    assert shop.key not in caplog.text


def test_a_process_lives_without_its_database(client: Client) -> None:
    response = client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not looked at its migrations yet."""
    monkeypatch.setattr(health, "_migrated", False)


@pytest.mark.django_db
@pytest.mark.usefixtures("starting")
def test_ready_with_a_migrated_database(client: Client) -> None:
    for _ in range(2):
        assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("starting")
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    newest = max(MigrationRecorder.Migration.objects.filter(app="subscriptions"), key=str)
    MigrationRecorder(connection).record_unapplied("subscriptions", newest.name)
    response = client.get("/health/ready")

    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


@pytest.mark.django_db
@pytest.mark.parametrize("migrated", [True, False])
def test_not_ready_without_a_database_and_silent_about_why(
    client: Client, monkeypatch: pytest.MonkeyPatch, migrated: bool
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection to server at 10.0.0.7 failed")

    monkeypatch.setattr(health, "_migrated", migrated)
    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "cursor", away)
        response = client.get("/health/ready")

    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


@pytest.mark.django_db  # closing an answer looks at the connection
def test_the_api_page_needs_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/v1/docs").content.decode()
    files = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert files
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for file in files:
        answer = client.get(file)
        assert answer.status_code == 200
        answer.close()


def test_the_description_is_valid_and_names_the_problems(client: Client) -> None:
    schema = json.loads(client.get("/v1/schema").content)
    validate_schema(schema)  # type: ignore[no-untyped-call]

    post = schema["paths"]["/v1/subscriptions"]["post"]
    assert post["responses"]["413"]["description"] == "The body is too large."
    assert set(post["responses"]) == {"202", "400", "401", "413", "415", "422", "503"}
    assert list(post["responses"]["422"]["content"]) == ["application/problem+json"]
    assert set(schema["paths"]["/v1/subscriptions/{subscription_id}"]["get"]["responses"]) >= {
        "200",
        "401",
        "404",
    }
