"""Only what is certainly one person's is exported or erased."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from admit_one.erasure.definition import Person
from admit_one.messaging.tombstones import Tombstone
from django.core.management import CommandError, call_command
from providers.models import ProviderLink
from subscriptions import persons
from subscriptions.models import MetadataEntry, Subscription

from tests.factories import a_subscription
from tests.test_erase_person import run

pytestmark = pytest.mark.django_db


def of_two_clients() -> tuple[Subscription, Subscription]:
    """Two users with one id, of two clients."""
    other = a_subscription(client="other", email="grace@example.com", reference="hopper")
    return a_subscription(), other


def test_the_user_of_another_client_is_not_erased_unasked() -> None:
    ours, theirs = of_two_clients()
    out = io.StringIO()

    with pytest.raises(CommandError, match="several clients, other, shop: give the right --client"):
        call_command("erase_person", "begin", "--user-id", "user-42", "--active", stdout=out)

    assert f"{ours.id}  active  of shop" in out.getvalue()
    assert f"{theirs.id}  active  of other" in out.getvalue()
    assert Tombstone.objects.count() == 0


def test_the_user_of_one_client_is_erased() -> None:
    ours, theirs = of_two_clients()

    run("begin", "--user-id", "user-42", "--client", "shop", "--active")

    assert Subscription.objects.get(pk=ours.pk).user_id == "erased"
    assert Subscription.objects.get(pk=theirs.pk).reference == "hopper"


def test_the_user_of_another_client_is_not_exported() -> None:
    of_two_clients()
    out = io.StringIO()

    with pytest.raises(CommandError, match="several clients"):
        call_command("export_person", "--user-id", "user-42", stdout=out)
    assert out.getvalue() == ""

    call_command("export_person", "--user-id", "user-42", "--client", "shop", stdout=out)
    [row] = json.loads(out.getvalue())["kept"]["subscription"]
    assert row["client"] == "shop"


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("Ada@Example.com", "ada@example.COM"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "Ada@Bücher.example"),
    ],
)
def test_an_address_is_found_however_it_is_spelled(stored: str, given: str) -> None:
    row = a_subscription(email=stored)
    a_subscription(user_id="user-43", email=f"x{stored}")

    assert persons.find(Person(emails=[given])).subjects == {str(row.pk): "shop"}


def test_an_address_is_found_on_a_later_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persons, "WINDOW", 2)
    rows = [a_subscription(email=f"{n}@example.com") for n in range(5)]

    subjects = [persons.find(Person(emails=[row.email])).subjects for row in rows]

    assert subjects == [{str(row.pk): "shop"} for row in rows]


def test_a_name_under_which_nothing_is_kept_is_reported() -> None:
    a_subscription()

    shown = run("begin", "--user-id", "user-42", "--email", "x@example.com", "--active")

    assert "nothing is kept here under --email no. 1" in shown
    assert "--user-id no. 1" not in shown


@pytest.mark.parametrize("command", [("erase_person", "begin"), ("export_person",)])
def test_an_id_about_which_nothing_is_kept_is_refused(command: tuple[str, ...]) -> None:
    row, unknown = a_subscription(), uuid4()
    given = ("--subscription", str(row.pk), "--subscription", str(unknown))

    with pytest.raises(CommandError, match=f"nothing is kept here about {unknown}"):
        call_command(*command, *given, stdout=io.StringIO())

    assert Tombstone.objects.count() == 0


def test_an_id_about_which_nothing_is_kept_is_erased_if_it_is_meant() -> None:
    unknown = str(uuid4())

    run("begin", "--subscription", unknown, "--unknown")

    assert Tombstone.objects.get().subject == unknown
    assert "nothing left to erase" in run("begin", "--subscription", unknown)


@pytest.mark.parametrize("rehearsal", [[], ["--dry-run"]])
def test_what_a_provider_goes_on_charging_for_is_named(rehearsal: list[str]) -> None:
    row = a_subscription()
    of_stripe: dict[str, Any] = {"provider": "stripe", "test": False, "subscription_id": row.pk}
    for external_id in ("sub_1", "in_1"):
        ProviderLink.objects.create(external_id=external_id, **of_stripe)

    shown = run("begin", "--user-id", "user-42", "--active", *rehearsal)

    assert "stripe goes on charging for sub_1 unless it has ended there" in shown
    assert "in_1" not in shown


def test_many_persons_with_many_notes_are_exported_and_erased() -> None:
    notes = {f"key{n}": str(n) for n in range(40)}
    for _ in range(30):
        a_subscription(metadata=notes)
    out = io.StringIO()
    call_command("export_person", "--user-id", "user-42", stdout=out)

    kept = json.loads(out.getvalue())["kept"]
    run("begin", "--user-id", "user-42", "--active")

    assert (len(kept["subscription"]), len(kept["metadata entry"])) == (30, 1_200)
    assert MetadataEntry.objects.count() == 0
