"""What all responses of the API have in common."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from admit_one.contract.patterns import unportable
from admit_one.database import outage
from admit_one.processes.announcer import Announcer
from admit_one.web import health, openapi, problems
from admit_one.web.models import ApiKeyQuerySet
from django.db import (
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
)
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator
from pytest_django import Settings
from subscriptions import services
from subscriptions.currencies import CURRENCIES

from tests.conftest import Api
from tests.factories import CODE, a_payload, a_subscription
from tests.orders.api import post
from tools.system import api_description


def test_every_answer_has_a_request_id_that_of_the_request_if_valid(shop: Api) -> None:
    given = shop.post(X_Request_ID="shop:42.a-b_c")
    invented = [shop.post(X_Request_ID=bad)["X-Request-ID"] for bad in ("", "a b", "x" * 129, "ä")]

    assert given["X-Request-ID"] == "shop:42.a-b_c"
    assert len(set(invented)) == 4
    assert all(re.fullmatch(r"[0-9a-f-]{36}", request_id) for request_id in invented)


@pytest.mark.parametrize("path", ["/v1/subscriptions", "/v1/docs", "/health/live", "/nothing"])
def test_every_answer_has_security_headers(shop: Api, path: str) -> None:
    response = shop.get(path)

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


def test_no_cache_may_store_codes_and_addresses(shop: Api) -> None:
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
    def unavailable(*_: object) -> None:
        raise OperationalError("connection to server at 10.0.0.7 failed")

    monkeypatch.setattr(ApiKeyQuerySet, "raw", unavailable)
    monkeypatch.setattr(problems, "announcer", Announcer())
    responses = [shop.post() for _ in range(3)]

    for response in responses:
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert response["Retry-After"] == "2"
        assert b"10.0.0.7" not in response.content
    assert len(caplog.records) == 1
    assert "10.0.0.7" in caplog.text


@pytest.mark.parametrize(
    ("error", "sqlstate", "status"),
    [
        (NotSupportedError, "0A000", 503),  # a kept plan whose result a migration has changed
        (ProgrammingError, "42P05", 503),  # a pooler has begun to mix sessions
        (ProgrammingError, "42P01", 500),  # a table is missing: a fault of ours
    ],
)
def test_what_the_next_request_can_do_is_answered_503(
    shop: Api,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    sqlstate: str,
    status: int,
) -> None:
    class Refusal(Exception):
        pass

    Refusal.sqlstate = sqlstate  # type: ignore[attr-defined]

    def fail(**_: object) -> None:
        raise error("refused") from Refusal()

    monkeypatch.setattr(services, "record_subscription", fail)
    monkeypatch.setattr(problems, "announcer", Announcer())
    shop.http.raise_request_exception = False

    assert shop.post().status_code == status


def test_no_address_or_key_is_logged(shop: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        shop.post()
        shop.post(a_payload(email="wrong-address"))

    assert "ada@" not in caplog.text
    assert "wrong-address" not in caplog.text
    assert shop.key not in caplog.text


def test_a_process_is_alive_without_its_database(client: Client) -> None:
    response = client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not checked its migrations yet."""
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
def test_not_ready_without_a_database_and_the_answer_does_not_say_why(
    client: Client, monkeypatch: pytest.MonkeyPatch, migrated: bool
) -> None:
    def unavailable(*_: object) -> None:
        raise OperationalError("connection to server at 10.0.0.7 failed")

    monkeypatch.setattr(health, "_migrated", migrated)
    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "cursor", unavailable)
        response = client.get("/health/ready")

    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


@pytest.mark.django_db
@pytest.mark.parametrize("migrated", [True, False])
def test_not_ready_while_the_database_is_read_only(
    client: Client, monkeypatch: pytest.MonkeyPatch, migrated: bool
) -> None:
    monkeypatch.setattr(health, "_migrated", migrated)
    monkeypatch.setattr(outage, "why_not_writable", lambda: "the database is read-only")

    response = client.get("/health/ready")

    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})


@pytest.mark.django_db  # closing a response uses the connection
def test_the_api_page_loads_nothing_from_other_hosts(client: Client) -> None:
    page = client.get("/v1/docs").content.decode()
    files = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert files
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for file in files:
        answer = client.get(file)
        assert answer.status_code == 200
        answer.close()


def test_the_openapi_schema_is_valid_and_lists_the_problems(client: Client) -> None:
    schema = json.loads(client.get("/v1/schema").content)
    validate_schema(schema)  # type: ignore[no-untyped-call]

    post = schema["paths"]["/v1/subscriptions"]["post"]
    problems = schema["components"]["responses"]
    assert problems["Problem413"]["description"] == "The body is too large."
    assert set(post["responses"]) == {
        *(
            "202",
            "400",
            "401",
            "403",
            "408",
            "410",
            "413",
            "415",
            "422",
            "429",
            "431",
            "500",
            "501",
            "503",
        )
    }
    assert post["responses"]["422"] == {"$ref": "#/components/responses/Problem422"}
    assert list(problems["Problem422"]["content"]) == ["application/problem+json"]
    assert list(problems["Problem422"]["content"]["application/problem+json"]["examples"]) == [
        "idempotency_key_reused"
    ]
    assert set(schema["paths"]["/v1/subscriptions/{subscription_id}"]["get"]["responses"]) >= {
        "200",
        "401",
        "404",
    }


def test_the_schema_says_where_it_holds_and_what_fits(client: Client) -> None:
    schema = json.loads(client.get("/v1/schema").content)
    components = schema["components"]["schemas"]
    new, shown = components["NewSubscription"], components["SubscriptionAnswer"]
    listed = schema["paths"]["/v1/subscriptions"]["get"]["parameters"]

    assert [server["url"] for server in schema["servers"]] == ["/"]
    assert new["properties"]["amount"]["minimum"] == 0
    assert new["properties"]["amount"]["maximum"] == 2**53 - 1
    assert new["properties"]["plan"]["maxLength"] == 64
    assert {name for name, field in new["properties"].items() if "pattern" in str(field)} == {
        "user_id", "email", "plan", "valid_from", "valid_until", "reference", "metadata"
    }  # fmt: skip
    assert components["CurrencyEnum"]["enum"] == sorted(CURRENCIES)
    assert new["additionalProperties"] is False
    code = shown["properties"]["access_code"]["pattern"]
    assert [bool(re.fullmatch(code, text)) for text in (CODE, "****-****-****-H5RN")] == [True] * 2
    limits = {parameter["name"]: parameter["schema"] for parameter in listed}
    assert (limits["limit"]["minimum"], limits["limit"]["maximum"]) == (1, 100)
    assert [p for p in _patterns(schema) if unportable(p)] == []
    assert not re.search(r"`shown`|manage\.py|the schema", json.dumps(schema))


def _patterns(value: Any) -> Iterator[str]:
    parts = value.values() if isinstance(value, dict) else value
    for part in parts:
        if isinstance(part, dict | list):
            yield from _patterns(part)
    if isinstance(value, dict) and isinstance(value.get("pattern"), str):
        yield value["pattern"]


@pytest.fixture
def description(client: Client) -> dict[str, Any]:
    return dict(json.loads(client.get("/v1/schema").content))


def test_everything_that_is_described_has_words_and_none_of_ours(
    description: dict[str, Any],
) -> None:
    assert api_description.without_words(description) == []
    assert api_description.without_examples(description) == []
    assert not re.search(r"`shown`|manage\.py", json.dumps(description))
    assert description["servers"][0]["url"] == "/"


def test_the_description_has_the_bounds_that_are_enforced(description: dict[str, Any]) -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for operation in api_description.operations(description)
        for parameter in operation.get("parameters", [])
    }
    schemas = description["components"]["schemas"]
    new = schemas["NewSubscription"]["properties"]

    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
    assert re.fullmatch(parameters["cursor"]["pattern"], "A" * 32)
    assert re.fullmatch(parameters["Idempotency-Key"]["pattern"], "k" * 255)
    assert parameters["Idempotency-Key"]["maxLength"] == 255
    assert (new["amount"]["minimum"], new["amount"]["maximum"]) == (0, 2**53 - 1)
    assert "ISO 4217, list one as of 2026-01-01" in new["currency"]["description"]


def test_answers_are_what_the_description_says(shop: Api, description: dict[str, Any]) -> None:
    for _ in range(2):
        a_subscription()
    page = shop.get("/v1/subscriptions?limit=1").json()
    answers = {
        "SubscriptionPage": page,
        "SubscriptionAnswer": page["results"][0],
        "ProblemSchema": shop.get("/v1/subscriptions?limit=0").json(),
    }

    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        Draft202012Validator(schema).validate(answer)
    path = description["components"]["schemas"]["SubscriptionPage"]["properties"]["next"]
    assert path["format"] == "uri-reference"
    assert page["next"].startswith("/v1/subscriptions?limit=1&cursor=")


def test_the_description_says_what_a_repeated_post_returns(description: dict[str, Any]) -> None:
    accepted = description["paths"]["/v1/subscriptions"]["post"]["responses"]["202"]

    assert "first response again, as it was then" in accepted["description"]
    assert {"Location", "Idempotency-Replayed", "Retry-After"} <= set(accepted["headers"])


HOOKS = "/v1/webhook-endpoints"


def answers_about_webhooks(api: Api) -> dict[str, list[Any]]:
    new, path = {"url": "https://shop.example/", "events": ["order.completed"]}, HOOKS
    made = [api.post(new, path=path, Idempotency_Key="w") for _ in range(2)]
    one, known = made[0]["Location"], {"If-None-Match": "*"}

    def act(name: str) -> Any:
        return api.http.generic("POST", f"{one}/{name}")

    sent = act("test")
    webhook = sent.json()["id"]
    return {
        "create_webhook_endpoint": [*made, api.post({}, path=path)],
        "list_webhook_endpoints": [api.get(path), api.http.get(path, headers=known)],
        "show_webhook_endpoint": [api.get(one), api.http.get(one, headers=known)],
        "change_webhook_endpoint": [
            api.http.generic("PATCH", one, json.dumps(new).encode(), "application/json"),
            api.http.generic("PATCH", one),
        ],
        "rotate_webhook_secret": [act("rotate-secret")],
        "enable_webhook_endpoint": [act("enable")],
        "test_webhook_endpoint": [sent, api.http.generic("POST", f"{path}/nothing/test")],
        "list_webhook_deliveries": [
            act("test") and api.get(f"{one}/deliveries?limit=1"),
            api.http.get(f"{one}/deliveries", headers=known),
            api.get(f"{one}/deliveries?state=gone"),
        ],
        "resend_webhook": [act(f"deliveries/{webhook}/resend")],
        "delete_webhook_endpoint": [api.http.delete(one), api.http.delete(one)],
    }


def test_every_header_of_an_answer_is_described(shop: Api, description: dict[str, Any]) -> None:
    """Beside those that each answer of any web server has."""
    recorded = [shop.post(Idempotency_Key="k") for _ in range(2)]
    path = recorded[0]["Location"]
    known = {"If-None-Match": "*"}
    order = post(shop, subscriptions=[a_payload()])["Location"]

    def change(name: str, body: bytes = b"") -> Any:
        return shop.http.generic("POST", f"{path}/{name}", body, "application/json" if body else "")

    answers = {
        "record_subscription": [*recorded, shop.post({}), shop.post({}, Idempotency_Key="k")],
        "list_subscriptions": [
            shop.post() and shop.get("/v1/subscriptions?limit=1"),
            shop.http.get("/v1/subscriptions?limit=1", headers=known),
            shop.get("/v1/subscriptions?limit=0"),
            Client().get("/v1/subscriptions"),
        ],
        "show_subscription": [
            shop.get(path),
            shop.http.get(path, headers=known),
            shop.get("/v1/subscriptions/nothing"),
        ],
        "record_order": [
            *(post(shop, subscriptions=[a_payload()], Idempotency_Key="o") for _ in range(2)),
            post(shop),
        ],
        "list_orders": [
            post(shop, subscriptions=[a_payload()]) and shop.get("/v1/orders?limit=1"),
            shop.http.get("/v1/orders?limit=1", headers=known),
        ],
        "show_order": [
            shop.get(order),
            shop.http.get(order, headers=known),
            shop.get("/v1/orders/nothing"),
        ],
        "resend_access_code": [change("resend"), change("resend", b'{"email": "a@b.example"}')],
        "mark_past_due": [change("past-due")],
        "renew_subscription": [change("renew", b'{"valid_until": null}')],
        "cancel_subscription": [change("cancel"), change("cancel", b"{")],
        "refund_subscription": [change("refund")],
        **answers_about_webhooks(Api("shop", "webhooks")),
    }

    operations = api_description.operations(description)
    assert api_description.undescribed_headers(description, answers) == []
    assert answers.keys() == {each["operationId"] for each in operations}


def test_the_description_can_be_switched_off(settings: Settings) -> None:
    settings.API_DOCS = False

    assert openapi.addresses() == []
