"""What a key may do is what its scopes say."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from admit_one.messaging.testing import deliver
from admit_one.web import StrictView
from admit_one.web.keys import cache as key_cache
from admit_one.web.keys.scopes import SCOPES
from admit_one.web.models import ApiKey
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from subscriptions.models import Subscription
from subscriptions.views import CHANGES

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_subscription

LIST = "/v1/subscriptions"
MASKED = "****-****-****-H5RN"

pytestmark = pytest.mark.django_db


def with_code() -> str:
    """The path of a subscription whose code has arrived."""
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    return f"{LIST}/{subscription.id}"


@pytest.mark.parametrize("scope", SCOPES)
def test_each_method_needs_its_scope_and_no_other(scope: str) -> None:
    path = with_code()
    api = Api("shop", scope)
    statuses = [
        api.get(LIST).status_code,
        api.http.head(LIST).status_code,
        api.get(path).status_code,
        api.post().status_code,
        api.http.generic("POST", f"{path}/cancel").status_code,
    ]

    reads, writes = scope == "subscriptions:read", scope == "subscriptions:write"
    assert statuses == [200 if reads else 403] * 3 + [202 if writes else 403] * 2
    assert Subscription.objects.count() == 1 + writes


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_needs_the_scope_to_write(name: str) -> None:
    path = f"{with_code()}/{name}"
    readers = [Api("shop", scope) for scope in SCOPES if scope != "subscriptions:write"]

    assert {api.http.generic("POST", path).status_code for api in readers} == {403}
    assert Api("shop", "subscriptions:write").http.generic("POST", path).status_code in {202, 400}


def test_the_answer_names_the_missing_scope() -> None:
    answer = Api("shop", "subscriptions:read").post(raw=b"{")

    assert answer.json() == {
        "type": "/v1/problems/missing_scope",
        "title": "Forbidden",
        "status": 403,
        "code": "missing_scope",
        "detail": "expected an API key with the scope subscriptions:write",
        "instance": LIST,
    }
    assert answer["WWW-Authenticate"] == (
        'Bearer realm="api", error="insufficient_scope", scope="subscriptions:write"'
    )


@pytest.mark.parametrize("path", [f"{LIST}/nothing", f"{LIST}?a=b", f"{LIST}/{'0' * 8}"])
def test_without_the_scope_nobody_learns_what_exists(path: str) -> None:
    assert Api("shop", "webhooks").get(path).status_code == 403


def test_a_method_that_a_view_does_not_have_is_405_for_every_key() -> None:
    assert Api("shop", "webhooks").http.delete(LIST).status_code == 405
    assert Api("shop", "webhooks").http.options(LIST).status_code == 204


@pytest.mark.parametrize(
    "scopes", [{}, {"get": "everything"}, {"get": "webhooks", "put": "webhooks"}]
)
def test_a_view_that_forgets_a_scope_cannot_be_defined(scopes: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="expected a scope for each"):
        type("View", (StrictView,), {"scopes": scopes, "get": lambda: None})


def test_a_list_shows_the_last_four_characters_of_each_code(shop: Api) -> None:
    with_code()
    pending = a_subscription()
    codes = {row["id"]: row["access_code"] for row in shop.get(LIST).json()["results"]}

    assert sorted(codes.values(), key=str) == [MASKED, None]
    assert codes[str(pending.id)] is None


def test_one_code_is_whole_for_a_key_with_the_scope_and_masked_for_others(shop: Api) -> None:
    path = with_code()
    without = Api("shop", "subscriptions:read", "subscriptions:write")

    assert shop.get(path).json()["access_code"] == CODE
    assert without.get(path).json()["access_code"] == MASKED
    cancelled = without.http.generic("POST", f"{path}/cancel").json()
    assert (cancelled["status"], cancelled["access_code"]) == ("cancelled", MASKED)


def test_a_key_from_before_scopes_may_do_what_it_could() -> None:
    migration = importlib.import_module("admit_one.web.migrations.0002_scopes_and_limits")
    token = ApiKey.objects.issue("old", scopes=migration.BEFORE_SCOPES.split())
    path, api = with_code(), Api("shop")
    ApiKey.objects.filter(client="old").update(client="shop")
    api.http.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"

    assert (api.post().status_code, api.get(path).json()["access_code"]) == (202, CODE)


@pytest.mark.django_db(transaction=True)
def test_the_migration_keeps_the_keys_of_before_and_gives_no_new_one_anything() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("web", "0001_initial")])
    try:
        old = executor.loader.project_state([("web", "0001_initial")]).apps.get_model(
            "web", "ApiKey"
        )
        old.objects.create(client="old", prefix="a" * 12, digest=b"x")
    finally:
        newest = MigrationExecutor(connection)
        newest.migrate(newest.loader.graph.leaf_nodes("web"))
    with connection.cursor() as cursor:  # a process of the release before
        cursor.execute(
            "INSERT INTO web_apikey (client, prefix, digest) VALUES ('new', %s, %s)",
            ["b" * 12, b"x"],
        )

    scopes = dict(ApiKey.objects.values_list("client", "scopes"))
    assert scopes == {"old": "subscriptions:read subscriptions:write codes:read", "new": ""}
    ApiKey.objects.all().delete()


class Clock:
    now: ClassVar[float] = 0.0

    @classmethod
    def monotonic(cls) -> float:
        return cls.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    """The clock of the cache, which only the test moves."""
    monkeypatch.setattr(Clock, "now", 1_000.0)
    monkeypatch.setattr(key_cache, "time", Clock)
    return Clock


def test_a_key_is_read_once_in_five_seconds(
    shop: Api, clock: type[Clock], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        shop.get(LIST)
    clock.now += 4.9
    with django_assert_num_queries(1):
        shop.get(LIST)
    clock.now += 0.2
    with django_assert_num_queries(2):
        shop.get(LIST)


def test_a_revoked_key_is_refused_after_five_seconds(shop: Api, clock: type[Clock]) -> None:
    shop.get(LIST)
    ApiKey.objects.revoke(shop.key.split("_")[1])
    clock.now += 4.9
    before = shop.get(LIST).status_code
    clock.now += 0.2

    assert (before, shop.get(LIST).status_code) == (200, 401)


def test_a_key_is_refused_from_the_moment_it_expires_even_if_it_is_cached(
    shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = timezone.now() + timedelta(hours=1)
    ApiKey.objects.update(expires_at=end)
    before = shop.get(LIST).status_code
    monkeypatch.setattr(timezone, "now", lambda: end)

    assert (before, shop.get(LIST).status_code) == (200, 401)


@pytest.mark.usefixtures("clock")
def test_the_cache_is_bounded_and_holds_no_token(
    shop: Api, other_shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = key_cache.KeyCache()
    monkeypatch.setattr(key_cache, "MOST", 1)
    for api in (shop, other_shop, shop):
        assert cache.valid(api.key) is not None

    assert len(cache._kept) == 1
    assert shop.key.split("_", 2)[2] not in repr([(k, vars(v.key)) for k, v in cache._kept.items()])


def test_no_refused_token_takes_memory() -> None:
    cache = key_cache.KeyCache()
    for n in range(100):
        assert cache.valid(f"admit_{n:012x}_{'A' * 43}") is None

    assert len(cache._kept) == 0


def test_what_a_test_key_records_is_marked(shop: Api) -> None:
    test_shop = Api("shop", test=True)
    test_shop.post()
    shop.post()

    assert test_shop.key.startswith("admit_test_")
    assert sorted(Subscription.objects.values_list("test", flat=True)) == [False, True]


@pytest.mark.parametrize("action", CHANGES)
def test_a_test_key_changes_nothing_that_was_sold(shop: Api, action: str) -> None:
    test_shop = Api("shop", test=True)
    body = b'{"valid_until": "2100-01-01T00:00:00Z"}' if action == "renew" else b"{}"
    sold, tested = shop.post().json()["id"], test_shop.post().json()["id"]
    before = Subscription.objects.filter(id=sold).values().get()

    refused, done = (
        test_shop.post(raw=body, path=f"/v1/subscriptions/{each}/{action}")
        for each in (sold, tested)
    )

    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("the subscription is no test")
    assert Subscription.objects.filter(id=sold).values().get() == before
    if action != "renew":  # it has no end that could be moved
        assert done.status_code == 202


def test_a_test_key_and_another_never_share_a_first_response(shop: Api) -> None:
    test_shop = Api("shop", test=True)
    test_shop.post(Idempotency_Key="k")

    assert shop.post(Idempotency_Key="k").status_code == 422


@pytest.mark.parametrize("test", [True, False])
def test_a_key_is_not_accepted_in_the_form_of_the_other_kind(test: bool) -> None:
    api = Api("shop", test=test)
    prefix = ApiKey.objects.get().prefix
    other = f"admit_{'' if test else 'test_'}{prefix}_{api.key[-43:]}"

    assert ApiKey.objects.holding(other) is None
    assert ApiKey.objects.holding(api.key) is not None
