"""API keys on the pages for operators."""

from __future__ import annotations

import re

import pytest
from admit_one.acts.models import Act
from admit_one.web.models import ApiKey

from tests.operators.steps import text

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/web/apikey/"
GIVEN = {"name": "shop", "scopes": ["subscriptions:read", "webhooks"], "expires": "2099-01-01"}


def a_key(**fields) -> ApiKey:
    ApiKey.objects.issue("shop", scopes=["subscriptions:read"], **fields)
    return ApiKey.objects.get()


@pytest.fixture
def operator(log_in, client):
    log_in("view_apikey", "work_on_apikey")
    return client


def test_a_new_key_is_shown_once_and_is_on_record_without_its_secret(operator):
    answer = operator.post(f"{LIST}create/", GIVEN)
    [token] = re.findall(r"admit_[0-9a-f]{12}_[\w-]{43}", text(answer))

    key, act = ApiKey.objects.get(), Act.objects.get()
    assert ApiKey.objects.holding(token) == key
    assert (key.client, key.scopes, key.test) == ("shop", "subscriptions:read webhooks", False)
    assert (act.area, act.action, act.target, act.by) == (
        "api_keys", "create", key.prefix, "ada (admin)"
    )  # fmt: skip
    assert act.facts == {"scopes": GIVEN["scopes"], "expires": "2099-01-01", "test": False}
    secret = token.split("_", 2)[2]
    assert secret not in str(Act.objects.values())
    assert "no-store" in answer["Cache-Control"]
    for page in (LIST, f"{LIST}{key.id}/change/", f"{LIST}create/"):
        assert secret not in text(operator.get(page))


def test_a_test_key_says_so(operator):
    shown = text(operator.post(f"{LIST}create/", {**GIVEN, "test": "on"}))

    assert f"admit_test_{ApiKey.objects.get(test=True).prefix}_" in shown


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "My Shop"}, "expected 1 to 64 of a-z"),
        ({"scopes": []}, "This field is required"),
        ({"scopes": ["everything"]}, "Select a valid choice"),
        ({"expires": "2020-01-01"}, "expected a day in the future"),
        ({"expires": "soon"}, "Enter a valid date"),
    ],
)
def test_wrong_input_creates_nothing_and_says_why(operator, wrong, said):
    shown = text(operator.post(f"{LIST}create/", GIVEN | wrong))

    assert said in shown
    assert (ApiKey.objects.count(), Act.objects.count()) == (0, 0)


def test_a_key_is_revoked_once_with_a_reason_on_record(operator):
    key = a_key()
    page = f"{LIST}{key.id}/change/"
    shown = text(operator.post(page, {"reason": "it was in a log"}))
    operator.post(page, {"reason": "again"})

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "state revoked" in shown
    assert 'value="Revoke"' not in shown
    [act] = Act.objects.all()
    assert (act.action, act.target, act.reason) == ("revoke", key.prefix, "it was in a log")


def test_the_list_shows_scopes_expiry_and_last_use(operator):
    key = a_key()

    shown = text(operator.get(LIST))

    assert f"{key.prefix} shop valid subscriptions:read use never –" in shown
    assert "Create a key" in shown


def test_a_viewer_sees_keys_but_can_neither_create_nor_revoke_one(client, log_in):
    key = a_key()
    log_in("view_apikey")
    page = f"{LIST}{key.id}/change/"
    shown = text(client.get(LIST)) + text(client.get(page))

    assert key.prefix in shown
    assert "Create a key" not in shown
    assert "cannot be undone" not in shown
    assert client.get(f"{LIST}create/").status_code == 403
    assert client.post(f"{LIST}create/", GIVEN).status_code == 403
    assert client.post(page, {}).status_code == 403
    assert (ApiKey.objects.get().revoked_at, Act.objects.count()) == (None, 0)


@pytest.mark.parametrize("permissions", [(), ("work_on_apikey",), ("view_setaside",)])
def test_without_view_permission_no_key_shows(client, log_in, permissions):
    key = a_key()
    log_in(*permissions)

    for page in (LIST, f"{LIST}{key.id}/change/", f"{LIST}create/"):
        assert client.get(page).status_code == 403


def test_creating_requires_the_token_of_its_page(operator):
    operator.handler.enforce_csrf_checks = True

    assert operator.post(f"{LIST}create/", GIVEN).status_code == 403
    assert ApiKey.objects.count() == 0


@pytest.mark.parametrize("url", ["add/", "{}/delete/", "?digest__startswith=x"])
def test_nobody_edits_keys_by_hand_or_probes_their_digests(operator, url):
    key = a_key()
    answer = operator.get(LIST + url.format(key.id))

    assert answer.status_code in {302, 400, 403}
