"""Everything that this side keeps about a person is exported, in clear, for the operator alone."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from admit_one.acts.models import Act
from admit_one.erasure.testing import found
from django.core.management import CommandError, call_command

from tests.api import Api
from tests.test_erase_person import a_person, erase

pytestmark = pytest.mark.django_db


def exported(*arguments: str) -> tuple[str, Any]:
    out = io.StringIO()
    call_command("export_person", *arguments, stdout=out)
    return out.getvalue(), json.loads(out.getvalue())


def test_it_has_all_that_is_kept_with_codes_masked(platform: Api) -> None:
    subscription_id, (user_id, email, name, *codes) = a_person(platform)

    text, document = exported("--email", email, "--any-client")

    kept = document["kept"]
    assert document["subscriptions"] == [str(subscription_id)]
    assert kept["access code"][0]["user_id"] == user_id
    assert {mail["recipient"] for mail in kept["mail intent"]} == {email}
    assert kept["redemption"][0]["reference"] == name
    assert {"act", "outbox message", "inbox message", "set-aside message"} < kept.keys()
    assert not any(code in text for code in codes)
    assert document["means"]["access code"]["amount"] == "in minor units of the currency"


def test_whole_codes_need_a_flag(platform: Api) -> None:
    subscription_id, (*_, code) = a_person(platform)

    text, _ = exported("--subscription", str(subscription_id), "--codes")

    assert code in text


def test_only_its_maker_can_read_the_file(platform: Api, tmp_path: Path) -> None:
    a_person(platform)
    file = tmp_path / "person.json"
    named = ("export_person", "--user-id", "user-42", "--any-client", "--to", str(file))
    call_command(*named, stdout=io.StringIO())

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "ada@example.com" in file.read_text()
    with pytest.raises(CommandError, match="expected a new file"):
        call_command(*named)


def test_it_is_on_record_with_ids_only(platform: Api) -> None:
    subscription_id, names = a_person(platform)
    before = found(*names)
    exported("--user-id", "user-42", "--any-client", "--by", "grace")

    act = Act.objects.get(action="export")
    assert (act.by, act.facts) == (
        "grace",
        {"subjects": [str(subscription_id)], "codes": False},
    )
    assert found(*names) == before


def test_of_an_erased_person_ids_times_and_amounts_are_left(platform: Api) -> None:
    subscription_id, names = a_person(platform)
    erase(subscription_id)

    text, _ = exported("--subscription", str(subscription_id))

    assert str(subscription_id) in text
    assert not any(name in text for name in names)
