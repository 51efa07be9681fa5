from __future__ import annotations

from io import StringIO

import pytest
from admit_one.acts.models import Act
from admit_one.web.models import ApiKey
from django.core.management import CommandError, call_command
from django.test import Client
from subscriptions.reconciliation import grants

from tests.conftest import ALL_SCOPES, Api


def manage(*arguments: str) -> str:
    out = StringIO()
    call_command("api_key", *arguments, stdout=out)
    return out.getvalue()


def status_with(authorization: str | None) -> int:
    headers = {"Authorization": authorization} if authorization is not None else {}
    return Client().get("/v1/subscriptions", headers=headers).status_code


@pytest.mark.django_db
def test_a_created_key_is_accepted() -> None:
    key = manage("create", "--name", "shop", "--scope", *ALL_SCOPES).splitlines()[-1]

    assert status_with(f"Bearer {key}") == status_with(f"bearer {key}") == 200


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer {key}x",
        "Bearer {key} ",
        "Basic {key}",
        "{key}",
        "Bearer admit_{prefix}_" + "A" * 43,
        "Bearer admit_000000000000_" + "A" * 43,
        "Bearer ä",
        "Bearer " + "x" * 100_000,
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/subscriptions"),
        ("POST", "/v1/subscriptions"),
        ("DELETE", "/v1/subscriptions"),
        ("GET", "/v1/subscriptions/xyz"),
    ],
)
def test_without_a_valid_key_every_answer_is_401(
    shop: Api, wrong: str | None, method: str, path: str
) -> None:
    prefix = shop.key.split("_")[1]
    headers = {"Authorization": wrong.format(key=shop.key, prefix=prefix)} if wrong else {}
    response = Client().generic(method, path, b"{", "text/plain", headers=headers)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.json() == {
        "type": "/v1/problems/authentication_failed",
        "title": "Unauthorized",
        "status": 401,
        "code": "authentication_failed",
        "detail": "expected a valid API key: Authorization: Bearer <key>",
        "instance": path,
    }


@pytest.mark.django_db
def test_a_revoked_key_is_refused_and_the_clients_other_key_is_not() -> None:
    old, new = (
        ApiKey.objects.issue("shop", scopes=ALL_SCOPES),
        ApiKey.objects.issue("shop", scopes=ALL_SCOPES),
    )
    manage("revoke", old.split("_")[1])

    assert (status_with(f"Bearer {old}"), status_with(f"Bearer {new}")) == (401, 200)


@pytest.mark.django_db
def test_the_list_shows_keys_without_their_secrets() -> None:
    key = ApiKey.objects.issue("shop", scopes=ALL_SCOPES)
    listed = manage("list")

    _, prefix, secret = key.split("_", 2)
    assert prefix in listed
    assert "shop" in listed
    assert secret not in listed


@pytest.mark.django_db
def test_the_database_stores_no_secret() -> None:
    secret = ApiKey.objects.issue("shop", scopes=ALL_SCOPES).split("_", 2)[2]
    row = ApiKey.objects.values().get()

    assert secret not in str(row)
    assert len(bytes(row["digest"])) == 32


@pytest.mark.django_db
@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", " ", "--scope", "webhooks"),
        ("create", "--name", "x" * 65, "--scope", "webhooks"),
        ("create", "--name", "shop"),
        ("create", "--name", "shop", "--scope"),
        ("create", "--name", "shop", "--scope", "webhooks", "--expires", "2020-01-01"),
        ("create", "--name", "shop", "--scope", "webhooks", "--expires", "tomorrow"),
        ("revoke", "nothing"),
    ],
)
def test_wrong_usage_is_refused_with_what_is_expected(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"expected|required"):
        manage(*arguments)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "Shop",
        "SHOP",
        "shоp",
        "ｓhop",
        "shop ",
        " shop",
        "shop\u200b",
        "my shop",
        "-shop",
        "shóp",
        "",
    ],
)
def test_a_name_has_one_spelling(name: str) -> None:
    manage("create", "--name", "shop", "--scope", *ALL_SCOPES)

    with pytest.raises(CommandError, match="expected 1 to 64 of a-z"):
        manage("create", f"--name={name}", "--scope", *ALL_SCOPES)
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
def test_a_client_with_a_name_from_before_may_get_another_key() -> None:
    ApiKey.objects.issue("My Shop", scopes=ALL_SCOPES)
    manage("create", "--name", "My Shop", "--scope", *ALL_SCOPES)

    assert ApiKey.objects.filter(client="My Shop").count() == 2


@pytest.mark.django_db
def test_the_owner_of_what_was_recorded_again_is_no_client() -> None:
    with pytest.raises(CommandError, match="expected another name"):
        manage("create", "--name", grants.RECOVERED, "--scope", *ALL_SCOPES)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "form", ["{key}", "{prefix}", "admit_{prefix}", "admit_{prefix}_", " {key}\n"]
)
def test_a_key_is_revoked_by_any_part_that_names_it(form: str) -> None:
    key = ApiKey.objects.issue("shop", scopes=ALL_SCOPES)
    _, prefix, secret = key.split("_", 2)

    said = manage("revoke", form.format(key=key, prefix=prefix))

    assert said == f"{prefix} is no longer accepted\n"
    assert status_with(f"Bearer {key}") == 401
    assert secret not in str(list(Act.objects.values()))


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["{key}", "{key}x", "x{key}", "{secret}", "{prefix}"])
def test_a_key_that_cannot_be_revoked_is_not_printed(form: str) -> None:
    key = ApiKey.objects.issue("shop", scopes=ALL_SCOPES)
    _, prefix, secret = key.split("_", 2)
    ApiKey.objects.revoke(prefix)

    with pytest.raises(CommandError) as refused:
        manage("revoke", "--", form.format(key=key, prefix=prefix, secret=secret))
    assert secret not in str(refused.value)
    assert "expected a key that is still accepted" in str(refused.value)


@pytest.mark.django_db
def test_acts_record_who_created_and_revoked_a_key_without_its_secret() -> None:
    key = manage("create", "--name", "shop", "--scope", *ALL_SCOPES).splitlines()[-1]
    prefix = ApiKey.objects.get().prefix
    manage("revoke", prefix)

    acts = Act.objects.order_by("id")
    assert list(acts.values_list("area", "action", "target", "subject")) == [
        ("api_keys", "create", prefix, "shop"),
        ("api_keys", "revoke", prefix, ""),
    ]
    assert key.split("_", 2)[2] not in str(list(acts.values()))
