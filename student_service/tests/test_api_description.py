"""The API's description says all about every answer, in words and by examples."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.api import Api
from tests.test_admission import issued
from tools.system import api_description

EVERY = {"If-None-Match": "*"}


@pytest.fixture
def description(platform: Api) -> dict[str, Any]:
    return dict(platform.get("/v1/schema").json())


def test_everything_that_is_described_has_words(description: dict[str, Any]) -> None:
    assert api_description.without_words(description) == []


def test_every_body_has_an_example_that_fits(description: dict[str, Any]) -> None:
    assert api_description.without_examples(description) == []


def test_every_header_of_an_answer_is_described(platform: Api, description: dict[str, Any]) -> None:
    row, other = issued(), issued()
    one, access = f"/v1/access-codes/{row.access_id}", f"/v1/access/{row.access_id}"
    a_page = "/v1/access-codes?limit=1"

    def again(path: str) -> Any:
        return platform.http.get(path, headers=EVERY)

    def redeem(body: Any) -> Any:
        return platform.post("/v1/access-codes/redeem", body, Idempotency_Key="k")

    answers = {
        "validate_access_code": [platform.post("/v1/access-codes/validate", {"code": row.code})],
        "redeem_access_code": [redeem({"code": code}) for code in (row.code, row.code, "x")],
        "show_access": [platform.get(access), again(access), platform.get("/v1/access/x")],
        "list_access_codes": [
            platform.get(a_page),
            again(a_page),
            platform.get("/v1/access-codes?limit=0"),
            Client().get("/v1/access-codes"),
        ],
        "show_access_code": [
            platform.get(one),
            again(one),
            Api("course", "codes:redeem").get(one),
        ],
        "suspend_access_code": [platform.act("suspend", row.access_id)],
        "reinstate_access_code": [platform.act("reinstate", row.access_id)],
        "resend_access_code": [platform.act("resend", row.access_id) for _ in range(4)],
        "replace_access_code": [platform.act("replace", row.access_id)],
        "revoke_access_code": [
            platform.act("revoke", other.access_id),
            platform.act("revoke", row.access_id),
        ],
    }

    operations = api_description.operations(description)
    assert api_description.undescribed_headers(description, answers) == []
    # What the library adds is tried in the payment service.
    own = [each for each in operations if each["tags"] != ["webhooks"]]
    assert answers.keys() == {each["operationId"] for each in own}
    assert {answer.status_code for given in answers.values() for answer in given} == {
        *(200, 304, 400, 401, 403, 404, 409, 422, 429),
    }
