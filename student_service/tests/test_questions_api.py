"""Platforms ask over HTTP whether a code lets in, and have its uses counted."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from access_codes.admission import TELLS_NOTHING, Reason
from access_codes.models import AccessCode, Redemption
from access_codes.views import questions
from admit_one.web.models import IdempotencyKey
from django.db import close_old_connections, connection, connections
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator
from prometheus_client import REGISTRY

from tests.api import Api
from tests.test_admission import PREPARE, issued, question, set_terms

VALUES = re.compile(r"\b(?:WHERE|VALUES|SET|SAVEPOINT|unnest)\b")
"""What follows differs from one statement to the next of its kind."""

ASKED = ("validate", "redeem")


def asked(reason: Reason) -> dict[str, Any]:
    """A question whose answer has this reason."""
    row = issued()
    code = row.code
    PREPARE[reason](row)
    given = question(reason, code)._asdict()
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_an_answer_that_says_no_more_than_it_may(
    platform: Api, reason: Reason, name: str
) -> None:
    response = platform.post(f"/v1/access-codes/{name}", asked(reason))
    answer = response.json()

    assert response.status_code == 200
    assert (answer.pop("reason"), answer.pop("valid")) == (reason, reason == Reason.OK)
    if reason in TELLS_NOTHING:
        assert set(answer.values()) == {None}
    else:
        row = AccessCode.objects.get()
        assert (answer["access_id"], answer["user_id"], answer["plan"]) == (
            row.access_id, "user-42", "gold",
        )  # fmt: skip


@pytest.mark.parametrize("reason", Reason)
def test_the_description_has_an_example_of_each_reason_that_fits_answers(
    platform: Api, reason: Reason
) -> None:
    description = json.loads(platform.get("/v1/schema").content)
    answers = description["paths"]["/v1/access-codes/redeem"]["post"]["responses"]["200"]
    examples = answers["content"]["application/json"]["examples"].values()
    [example] = [each["value"] for each in examples if each["value"]["reason"] == reason]
    answer = platform.post("/v1/access-codes/validate", asked(reason)).json()

    schema = {"$ref": "#/components/schemas/AdmissionAnswer", **description}
    for each in (example, answer):
        Draft202012Validator(schema).validate(each)
    assert {name for name, value in answer.items() if value is None} >= {
        name for name, value in example.items() if value is None and name != "uses_left"
    }
    assert (example["reason"], example["valid"]) == (answer["reason"], answer["valid"])


@pytest.mark.parametrize(
    ("name", "named"),
    [("validate", {}), ("redeem", {}), ("redeem", {"reference": "r"}), ("redeem", {"key": "k"})],
)
def test_refusals_of_every_reason_run_the_same_statements(
    platform: Api, name: str, named: dict[str, str]
) -> None:
    platform.validate("warm-up")  # the key is looked up once
    ran = set()
    for number, reason in enumerate(set(Reason) - {Reason.OK}):
        body = asked(reason) | {name: f"{value}{number}" for name, value in named.items()}
        with CaptureQueriesContext(connection) as captured:
            answer = getattr(platform, name)(**body)
        assert answer["reason"] == reason
        ran.add(tuple(VALUES.split(str(query["sql"]))[0] for query in captured))

    assert len(ran) == 1, ran


@pytest.mark.parametrize(
    "spell",
    [
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: f" {code}\r\n".replace("-", " "),
        lambda code: code.replace("-", " – "),
        lambda code: code.replace("-", "\u2212"),
        "\u200b".join,
        lambda code: code.replace("-", "."),
        lambda code: code.replace("-", "_"),
        lambda code: f"\u201c{code}\u201d.",
        lambda code: code.replace("-", "-\r\n"),
        lambda code: code.replace("0", "o").replace("1", "l"),
        lambda code: code.replace("1", "i"),
        lambda code: "".join(chr(ord(c) + 0xFEE0) for c in code),
    ],
)
def test_the_code_is_what_people_type(platform: Api, spell: Any) -> None:
    assert platform.validate(spell(issued().code))["reason"] == "ok"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "code", "required"),
        ({"code": None}, "code", "null"),
        ({"code": 1234567890123456}, "code", "invalid"),
        ({"code": "0" * 65}, "code", "max_length"),
        ({"code": "x", "user_id": None}, "user_id", "null"),
        ({"code": "x", "user_id": ""}, "user_id", "blank"),
        ({"code": "x", "plan": ["gold"]}, "plan", "invalid"),
        ({"code": "x", "userid": "user-42"}, "userid", "unknown"),
        ({"code": "x", "reference": "r" * 256}, "reference", "max_length"),
        ({"code": "x", "reference": ""}, "reference", "blank"),
    ],
)
def test_a_question_that_is_not_well_formed_is_refused_by_name(
    platform: Api, body: Any, field: str, code: str
) -> None:
    response = platform.post("/v1/access-codes/redeem", body)

    [fault] = response.json()["errors"]
    assert (response.status_code, fault["field"], fault["code"]) == (400, field, code)


def test_a_user_id_may_be_a_number_as_when_it_was_recorded(platform: Api) -> None:
    row = issued(user_id="42")

    assert platform.validate(row.code, user_id=42)["reason"] == "ok"


@pytest.mark.parametrize("named", [{"reference": "order-7"}, {"key": "order-7"}])
def test_the_same_use_again_is_counted_once(platform: Api, named: dict[str, str]) -> None:
    row = issued()
    set_terms(row, uses=1)
    first, again = (platform.redeem(row.code, **named) for _ in range(2))

    assert first == again
    assert (first["valid"], first["uses"], first["uses_left"]) == (True, 1, 0)
    assert Redemption.objects.count() == 1


def test_without_a_name_each_redemption_is_a_use(platform: Api) -> None:
    row = issued()
    set_terms(row, uses=2)

    assert [platform.redeem(row.code)["reason"] for _ in range(3)] == ["ok", "ok", "used_up"]


def test_the_same_reference_of_another_client_is_another_use(platform: Api) -> None:
    row = issued()
    for client in (platform, Api("another")):
        client.redeem(row.code, reference="order-7")

    assert sorted(Redemption.objects.values_list("client", flat=True)) == ["another", "platform"]


def test_one_key_for_two_codes_is_refused(platform: Api) -> None:
    platform.redeem(issued().code, key="k")

    assert platform.redeem(issued(user_id="b").code, key="k")["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("named", [[{"reference": "same"}] * 2, [{"key": "same"}] * 2, [{}, {}]])
@pytest.mark.django_db(transaction=True)
def test_two_redemptions_of_the_last_use_at_once_count_one(named: list[dict[str, str]]) -> None:
    platform = Api("platform")
    platform.validate("warm-up")
    for _ in range(10):
        row = issued()
        set_terms(row, uses=1)
        code, together = row.code, Barrier(2)

        def redeem(name: dict[str, str], code: str = code, together: Barrier = together) -> str:
            together.wait(timeout=30)
            try:
                return str(platform.redeem(code, **name)["reason"])
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as threads:
            reasons = sorted(threads.map(redeem, named))

        row.refresh_from_db()
        assert reasons == (["ok", "ok"] if named[0] else ["ok", "used_up"])
        assert (row.uses, row.redemptions.count()) == (1, 1)
        IdempotencyKey.objects.all().delete()


def test_an_admission_is_asked_for_by_its_id(platform: Api) -> None:
    row = issued()
    set_terms(row, uses=1)
    admitted = platform.redeem(row.code)
    code = row.code
    path = f"/v1/access/{admitted['access_id']}"
    holds = platform.get(path).json()
    platform.act("replace", admitted["access_id"])
    replaced = platform.get(path).json()

    assert holds == admitted
    assert (replaced["valid"], replaced["reason"], replaced["user_id"]) == (False, "replaced", None)
    assert platform.validate(code)["reason"] == "replaced"


@pytest.mark.parametrize("change", [".2", ".0", ".01", "", ".x", ".9999999999", ".1/"])
def test_an_access_that_never_was_is_not_found(platform: Api, change: str) -> None:
    row = issued()
    response = platform.get(f"/v1/access/{row.pk}{change}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["validate", "redeem"])
def test_without_a_key_nothing_is_answered(platform: Api, path: str) -> None:
    platform.http = type(platform.http)()

    assert platform.post(f"/v1/access-codes/{path}", {"code": "x"}).status_code == 401


def count(name: str, reason: str) -> float:
    labels = {"question": name, "reason": reason}
    return REGISTRY.get_sample_value("access_codes_answers_total", labels) or 0.0


@pytest.mark.django_db(transaction=True)  # reading metrics closes the connection
def test_answers_are_counted_by_reason(platform: Api) -> None:
    row = issued()
    before = [count("validate", "unknown"), count("redeem", "ok"), count("access", "ok")]
    platform.validate("7K3M-Q9TX-2WBD-0000")
    platform.redeem(row.code)
    platform.get(f"/v1/access/{row.access_id}")

    after = [count("validate", "unknown"), count("redeem", "ok"), count("access", "ok")]
    assert [now - then for then, now in zip(before, after, strict=True)] == [1, 1, 1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("named", [{}, {"Idempotency_Key": "k"}])
def test_a_use_that_cannot_be_answered_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError

    platform, row = Api("platform"), issued()
    platform.http.raise_request_exception = False
    monkeypatch.setattr(questions, "answered", fail)
    response = platform.post("/v1/access-codes/redeem", {"code": row.code}, **named)

    row.refresh_from_db()
    assert (response.status_code, row.uses, Redemption.objects.count()) == (500, 0, 0)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no sessions")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ASKED)
def test_a_request_after_its_idle_connection_ended_is_answered(name: str) -> None:
    platform = Api("platform")
    path, body = f"/v1/access-codes/{name}", {"code": issued().code}
    assert platform.post(path, body).status_code == 200
    close_old_connections()  # as between two requests
    session = connection.connection.info.backend_pid

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [session])
        connections.close_all()

    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(end).result(30)
    close_old_connections()

    assert platform.post(path, body).status_code == 200
