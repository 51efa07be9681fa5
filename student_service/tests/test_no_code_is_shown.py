"""A code stands in no log, problem, label or stored request, wherever a client puts it."""

from __future__ import annotations

import logging

import pytest
from admit_one.web.models import IdempotencyKey
from django.db import connection
from prometheus_client import REGISTRY, generate_latest

from tests.api import Api
from tests.test_admission import issued

SPELLINGS = [lambda code: code, lambda code: code.replace("-", ""), str.lower]


def stored() -> str:
    """All that the database holds, as text."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += [str(row) for row in cursor.fetchall()]
    return "\n".join(rows)


@pytest.mark.django_db(transaction=True)  # reading metrics closes the connection
@pytest.mark.parametrize("spell", SPELLINGS)
def test_no_code_is_stored_logged_or_repeated(
    platform: Api, caplog: pytest.LogCaptureFixture, spell: object
) -> None:
    row = issued()
    code = spell(row.code)  # type: ignore[operator]
    asked = "/v1/access-codes/redeem"
    with caplog.at_level(logging.DEBUG):
        answers = [
            platform.post(asked, {"code": code}, Idempotency_Key="k"),
            platform.post(asked, {"code": code}, Idempotency_Key=code),
            platform.post(asked, {"code": code, "reference": f"order-{code}"}),
            platform.post(asked, {"code": code, "user_id": ""}),
            platform.post(asked, code),
            platform.get(f"/v1/access/{code}"),
            platform.get(f"/v1/access-codes/{code}"),
            platform.get(f"/v1/access-codes/{code}/redeem"),
            platform.get(f"/v1/access-codes?state={code}"),
            platform.get(f"/v1/access-codes?{code}=1"),
            platform.act("suspend", code),
            platform.act("suspend", row.access_id, reason=f"she typed {code}"),
        ]

    assert {answer.status_code for answer in answers} == {200, 400, 404}
    written = [
        *(answer.content.decode() for answer in answers),
        caplog.text,
        stored(),
        generate_latest(REGISTRY).decode(),
    ]
    for form in {row.code, row.code.replace("-", "")}:
        assert [text for text in written if form in text.upper()] == []
    assert IdempotencyKey.objects.count() == 1
