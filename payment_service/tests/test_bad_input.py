"""Bad input is answered with a problem that names the error, and records nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError
from shared_contracts.events import UserSubscribed
from subscriptions import serializers
from subscriptions.currencies import CURRENCIES
from subscriptions.models import Subscription
from uuid_utils.compat import uuid7

from tests.conftest import Api
from tests.factories import a_payload

GOOD = json.dumps(a_payload()).encode()


def with_value(field: str, literal: str) -> bytes:
    """The valid body with this JSON text as the value of `field`."""
    return GOOD.replace(json.dumps(a_payload()[field]).encode(), literal.encode(), 1)


# body → status, code of the problem or of its first error, field
BODIES: dict[str, tuple[bytes, int, str, str]] = {
    "empty": (b"", 400, "required", "user_id"),
    "null": (b"null", 400, "null", ""),
    "list": (b"[]", 400, "invalid", ""),
    "text": (b'"x"', 400, "invalid", ""),
    "number": (b"1", 400, "invalid", ""),
    "empty object": (b"{}", 400, "required", "user_id"),
    "cut off": (b"{", 400, "parse_error", ""),
    "two values": (GOOD + GOOD, 400, "parse_error", ""),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, 400, "parse_error", ""),
    "latin-1": (with_value("plan", '"ü"').decode().encode("latin-1"), 400, "parse_error", ""),
    "utf-16": (GOOD.decode().encode("utf-16"), 400, "parse_error", ""),
    "100,000 brackets": (b"[" * 60_000, 400, "parse_error", ""),
    "deep array in a field": (
        with_value("plan", "[" * 5_000 + "]" * 5_000),
        400,
        "parse_error",
        "",
    ),
    "deep object": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, "parse_error", ""),
    "deep array with an escape": (
        with_value("plan", "[" * 90 + r'"\u0041"' + "]" * 90),
        400,
        "invalid",
        "plan",
    ),
    "5,000 digits": (with_value("amount", "9" * 5_000), 400, "parse_error", ""),
    "duplicate key": (GOOD[:-1] + b', "amount": 1}', 400, "parse_error", ""),
    "too large": (GOOD + b" " * 263_000, 413, "too_large", ""),
    "unknown field": (GOOD[:-1] + b', "is_admin": true}', 400, "unknown", "is_admin"),
    "unknown field, huge": (GOOD[:-1] + b', "' + b"x" * 9_000 + b'": 1}', 400, "unknown", "x" * 64),
    **{
        f"amount {literal}": (with_value("amount", literal), 400, code, field)
        for literal, code, field in [
            ("-1", "min_value", "amount"),
            ("9007199254740992", "max_value", "amount"),
            (str(2**70), "max_value", "amount"),
            ("10.5", "invalid", "amount"),
            ("1e-2", "invalid", "amount"),
            ("1e300", "max_value", "amount"),
            ("1e400", "parse_error", ""),
            ("true", "invalid", "amount"),
            ("null", "null", "amount"),
            ('"4900"', "invalid", "amount"),
            ('"1e5"', "invalid", "amount"),
            ('"1_000"', "invalid", "amount"),
            ('"٤٩٠٠"', "invalid", "amount"),
            ("[1]", "invalid", "amount"),
            ("NaN", "parse_error", ""),
            ("Infinity", "parse_error", ""),
            ("-Infinity", "parse_error", ""),
        ]
    },
    **{
        f"currency {literal}": (with_value("currency", literal), 400, code, "currency")
        for literal, code in [
            ('"eur"', "unknown"),
            ('"XXX"', "unknown"),
            ('"DEM"', "unknown"),
            ('"BGN"', "unknown"),  # until 2025
            ('"XAU"', "unknown"),
            ('"XDR"', "unknown"),
            ('"XTS"', "unknown"),
            ('"EURO"', "unknown"),
            ('""', "blank"),
            ("978", "invalid"),
            ("null", "null"),
        ]
    },
    **{
        f"email {literal}": (with_value("email", literal), 400, code, "email")
        for literal, code in [
            (r'"a@example.com\r\nBcc: b@example.com"', "invisible"),
            (r'"a@example.com\n"', "invisible"),
            ('" a@example.com"', "invisible"),
            ('"a@example.com,b@example.com"', "email"),
            ('"a@example.com;b@example.com"', "email"),
            ('"Ada <a@example.com>"', "invisible"),
            ('"<a@example.com>"', "email"),
            ('"a@localhost"', "email"),
            ('"a@[127.0.0.1]"', "email"),
            ('"example.com"', "email"),
            ('"a@xn--a.com"', "email"),
            ('"a@x，y.com"', "email"),
            ('"a@x。com"', "email"),
            ('"a@b@example.com"', "email"),
            ('"аda@example.com"', "email"),  # a Cyrillic а
            ('"a@exаmple.com"', "email"),
            (f'"{"a" * 65}@example.com"', "email"),
            (f'"a@{"b." * 130}com"', "max_length"),
            ('["a@example.com"]', "invalid"),
            ("7", "invalid"),
            ('""', "blank"),
        ]
    },
    **{
        f"{field} {literal}": (with_value(field, literal), 400, code, field)
        for field in ("user_id", "plan")
        for literal, code in [
            ('""', "blank"),
            ('" "', "invisible"),
            ('"a b"', "invisible"),
            (r'"a\u0007"', "invisible"),
            (r'"a\u00a0b"', "invisible"),
            (r'"a\u200bb"', "invisible"),
            (r'"a\u202eb"', "invisible"),
            (f'"{"x" * 65}"', "max_length"),
            ("1.5", "invalid"),
            ("true", "invalid"),
            ("null", "null"),
            ("{}", "invalid"),
        ]
    },
    "user_id of 65 digits": (with_value("user_id", "1" * 65), 400, "max_length", "user_id"),
    **{
        f"plan {plan}": (with_value("plan", json.dumps(plan)), 400, "link", "plan")
        for plan in ("https://evil.example", "//evil", "a@example.com", "tel:0900", "a\\b")
    },
    "plan as a number": (with_value("plan", "7"), 400, "invalid", "plan"),
    "NUL": (with_value("plan", r'"a\u0000"'), 400, "parse_error", ""),
    "lone surrogate": (with_value("plan", r'"\ud800"'), 400, "parse_error", ""),
    "NUL in a key": (GOOD[:-1] + rb', "a\u0000": 1}', 400, "parse_error", ""),
    "raw control character": (with_value("plan", '"a\x01"'), 400, "parse_error", ""),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused_with_the_field_named(shop: Api, name: str) -> None:
    raw, status, code, field = BODIES[name]
    response = shop.post(raw=raw)

    problem = response.json()
    first = problem.get("errors", [problem])[0]
    assert (response.status_code, first["code"], first.get("field", "")) == (status, code, field)
    assert_is_problem(response)
    assert Subscription.objects.count() == 0


HEADERS: dict[str, tuple[dict[str, str], int]] = {
    "form": ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    "no content type": ({"Content_Type": ""}, 415),
    "text": ({"Content_Type": "text/plain"}, 415),
    "another JSON": ({"Content_Type": "application/vnd.x+json"}, 415),
    "utf-16 charset": ({"Content_Type": "application/json; charset=utf-16"}, 415),
    "unknown charset": ({"Content_Type": "application/json; charset=nosuch"}, 415),
    "gzip": ({"Content_Encoding": "gzip"}, 415),
    "empty idempotency key": ({"Idempotency_Key": ""}, 400),
    "idempotency key with a space": ({"Idempotency_Key": "a b"}, 400),
    "idempotency key beyond ASCII": ({"Idempotency_Key": "ä"}, 400),
    "idempotency key of 256": ({"Idempotency_Key": "k" * 256}, 400),
    "idempotency key of 100 kB": ({"Idempotency_Key": "k" * 100_000}, 400),
    "another host": ({"Host": "evil.example"}, 400),
}


@pytest.mark.parametrize("name", HEADERS)
def test_bad_headers_are_refused(shop: Api, name: str) -> None:
    headers, status = HEADERS[name]
    response = shop.post(raw=GOOD, **headers)

    assert response.status_code == status
    assert_is_problem(response)
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize("accepted", ["application/json; charset=UTF-8", "Application/JSON"])
def test_the_content_type_is_case_insensitive_and_may_have_a_charset(
    shop: Api, accepted: str
) -> None:
    response = shop.post(raw=GOOD, Content_Type=accepted, Accept="text/html")

    assert response.status_code == 202


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
def test_another_method_is_not_allowed(shop: Api, method: str) -> None:
    response = shop.http.generic(method, "/v1/subscriptions")

    assert response.status_code == 405
    assert response["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert_is_problem(response)
    assert response.json()["code"] == "method_not_allowed"
    assert response.json()["detail"] == "expected one of GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/subscriptions", "GET, POST, HEAD, OPTIONS"),
        ("/v1/subscriptions/x", "GET, HEAD, OPTIONS"),
        ("/v1/subscriptions/x/cancel", "POST, OPTIONS"),
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/health/ready", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_names_the_methods_that_are_allowed(shop: Api, path: str, methods: str) -> None:
    response = shop.http.options(path)
    refused = {
        method: shop.http.generic(method, path).status_code == 405
        for method in ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE")
    }

    assert (response.status_code, response.content, response["Allow"]) == (204, b"", methods)
    assert [method for method, is_refused in refused.items() if not is_refused] == [
        method for method in methods.split(", ") if method != "OPTIONS"
    ]


@pytest.mark.parametrize("path", ["/v1/docs", "/v1/schema"])
def test_the_description_can_only_be_read(shop: Api, path: str) -> None:
    response = shop.http.options(path)

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/v1/subscriptions/", "//v1/subscriptions", "/", "/v1/%00", "/v1/nothing\n"]
)
def test_another_path_is_not_found(shop: Api, path: str) -> None:
    response = shop.get(path)

    assert response.status_code == 404
    assert_is_problem(response)


def test_all_errors_are_named_at_once(shop: Api) -> None:
    response = shop.post({"email": "no", "amount": -1, "a/b~c": 1})

    pointers = {fault["pointer"]: fault["code"] for fault in response.json()["errors"]}
    assert pointers == {
        "#/a~1b~0c": "unknown",
        "#/user_id": "required",
        "#/email": "email",
        "#/plan": "required",
        "#/amount": "min_value",
        "#/currency": "required",
    }


def test_no_problem_repeats_what_was_sent(shop: Api) -> None:
    response = shop.post(a_payload(email="secret-address", plan="secret plan", user_id=["secret"]))

    assert b"secret" not in response.content


visible = st.text(min_size=1, max_size=70)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    payload=st.fixed_dictionaries(
        {
            "user_id": visible | st.integers(),
            "email": st.emails() | visible | st.just("ada@example.com"),
            "plan": visible,
            "amount": st.integers(-5, 2**60),
            "currency": st.sampled_from(sorted(CURRENCIES)) | visible,
        }
    )
)
def test_what_the_api_accepts_the_event_can_carry(payload: dict[str, Any]) -> None:
    try:
        accepted = serializers.new_subscription.run_validation(payload)
    except ValidationError:
        return

    UserSubscribed(subscription_id=uuid7(), occurred_at=timezone.now(), **accepted)


def assert_is_problem(response: Any) -> None:
    problem = response.json()
    assert response["Content-Type"] == "application/problem+json"
    assert problem.keys() - {"errors"} == {"type", "title", "status", "code", "detail", "instance"}
    assert problem["status"] == response.status_code
    for fault in problem.get("errors", []):
        assert fault.keys() == {"field", "pointer", "code", "detail"}
