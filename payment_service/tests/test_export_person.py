"""Everything that this side keeps about a person is exported, in clear."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

from tests.conftest import Api
from tests.factories import CODE
from tests.test_erase_person import PERSON, a_person, run

pytestmark = pytest.mark.django_db


def test_it_has_all_that_is_kept_with_codes_masked(shop: Api) -> None:
    subscription_id = a_person(shop)
    out = io.StringIO()
    call_command("export_person", "--user-id", "user-42", stdout=out)

    document = json.loads(out.getvalue())
    [row] = document["kept"]["subscription"]
    assert (row["id"], row["email"]) == (str(subscription_id), "ada@example.com")
    assert row["metadata"] == {"seat": "lovelace"}
    assert row["access_code"] == "****-****-****-****"
    assert {"metadata entry", "drift", "idempotency key", "act"} < document["kept"].keys()
    assert CODE not in out.getvalue()


def test_of_an_erased_person_ids_times_and_amounts_are_left(shop: Api) -> None:
    subscription_id = a_person(shop)
    run("begin", "--user-id", "user-42", "--active")
    out = io.StringIO()
    call_command("export_person", "--subscription", str(subscription_id), stdout=out)

    [row] = json.loads(out.getvalue())["kept"]["subscription"]
    assert (row["amount"], row["user_id"]) == (4900, "erased")
    assert not any(name in out.getvalue() for name in PERSON)
