"""Clients make endpoints, look at what is sent to them, and see nothing of each other's."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from admit_one.acts.models import Act
from admit_one.web.models import IdempotencyKey
from admit_one.webhooks.known import listeners
from admit_one.webhooks.models import Delivery, Endpoint
from django.core.management import CommandError, call_command

from tests.conftest import Api

PATH = "/v1/webhook-endpoints"
URL = "https://shop.example.com/hooks"
NEW = {"url": URL, "events": ["subscription.cancelled", "subscription.active"]}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def read_again() -> None:
    listeners.forget()


@pytest.fixture
def hooks(db: None) -> Api:
    return Api("shop", "webhooks")


def create(api: Api, **changes: Any) -> dict[str, Any]:
    answer = api.post({**NEW, **changes}, path=PATH)
    assert answer.status_code == 201
    body: dict[str, Any] = answer.json()
    return body


def change(api: Api, path: str, **changes: Any) -> Any:
    return api.http.generic("PATCH", path, json.dumps(changes).encode(), "application/json")


def act(api: Api, path: str, name: str) -> Any:
    return api.http.generic("POST", f"{path}/{name}")


def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(hooks: Api) -> None:
    answer = hooks.post(NEW, path=PATH)
    made = answer.json()

    assert answer.status_code == 201
    assert answer["Location"] == f"{PATH}/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["subscription.active", "subscription.cancelled"]
    shown = hooks.get(answer["Location"]).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert hooks.get(PATH).json() == {"results": [shown], "next": None}


def test_a_repeated_post_makes_nothing_and_keeps_no_secret(hooks: Api) -> None:
    first = hooks.post(NEW, path=PATH, Idempotency_Key="one")
    again = hooks.post(NEW, path=PATH, Idempotency_Key="one")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Idempotency-Replayed"] == "true"
    assert again.json() == {**first.json(), "secret": None}
    assert Endpoint.objects.count() == 1
    assert "whsec_" not in IdempotencyKey.objects.get().body


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "https://user:secret@shop.example/"}, "url"),
        ({"url": "https://localhost:25/"}, "url"),
        ({"url": 7}, "url"),
        ({"events": []}, "events"),
        ({"events": ["subscription.gone"]}, "events.0"),
        ({"events": "subscription.active"}, "events"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    hooks: Api, changes: dict[str, Any], field: str
) -> None:
    answer = hooks.post({**NEW, **changes}, path=PATH)

    assert answer.status_code == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert Endpoint.objects.count() == 0


def test_another_client_and_a_test_key_see_nothing_of_it(hooks: Api) -> None:
    path = f"{PATH}/{create(hooks)['id']}"
    delivery = act(hooks, path, "test").json()["id"]
    for third in (Api("other", "webhooks"), Api("shop", "webhooks", test=True)):
        assert third.get(PATH).json()["results"] == []
        statuses = {
            third.get(path).status_code,
            change(third, path, url=URL).status_code,
            third.http.delete(path).status_code,
            third.get(f"{path}/deliveries").status_code,
            *(
                act(third, path, name).status_code
                for name in ("rotate-secret", "enable", "test", f"deliveries/{delivery}/resend")
            ),
        }
        assert statuses == {404}


@pytest.mark.parametrize("scope", ["subscriptions:read", "subscriptions:write", "codes:read"])
def test_every_method_needs_the_scope(hooks: Api, scope: str) -> None:
    path = f"{PATH}/{create(hooks)['id']}"
    api = Api("shop", scope)
    statuses = {
        api.post(NEW, path=PATH).status_code,
        api.get(PATH).status_code,
        api.get(path).status_code,
        api.http.delete(path).status_code,
        change(api, path, url=URL).status_code,
        api.get(f"{path}/deliveries").status_code,
        *(act(api, path, name).status_code for name in ("rotate-secret", "enable", "test")),
    }

    assert statuses == {403}


def test_a_change_names_the_url_the_events_or_both(hooks: Api) -> None:
    path = f"{PATH}/{create(hooks)['id']}"

    assert change(hooks, path, url=f"{URL}/2").json()["url"] == f"{URL}/2"
    assert change(hooks, path, events=["order.completed"]).json()["events"] == ["order.completed"]
    assert change(hooks, path).json() == hooks.get(path).json()
    assert change(hooks, path, url="https://10.0.0.1/").status_code == 400


def test_a_rotation_shows_another_secret_and_until_when_both_sign(hooks: Api) -> None:
    made = create(hooks)
    rotated = act(hooks, f"{PATH}/{made['id']}", "rotate-secret").json()

    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None


def test_a_test_event_is_listed_and_can_be_sent_again(hooks: Api) -> None:
    path = f"{PATH}/{create(hooks)['id']}"
    sent = act(hooks, path, "test")
    delivery = sent.json()

    assert sent.status_code == 202
    assert (delivery["type"], delivery["state"]) == ("webhook.test", "pending")
    assert hooks.get(f"{path}/deliveries?state=pending").json()["results"] == [delivery]
    assert hooks.get(f"{path}/deliveries?state=failed").json()["results"] == []
    assert hooks.get(f"{path}/deliveries?state=gone").status_code == 400

    Delivery.objects.update(state="delivered", next_attempt_at=None)
    again = act(hooks, path, f"deliveries/{delivery['id']}/resend")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert act(hooks, path, f"deliveries/{uuid4()}/resend").status_code == 404


def test_nothing_is_sent_to_a_disabled_endpoint_until_it_is_enabled(hooks: Api) -> None:
    made = create(hooks)
    path = f"{PATH}/{made['id']}"
    delivery = act(hooks, path, "test").json()["id"]
    call_command("webhooks", "disable", made["id"], "--reason", "it is not theirs", "--by", "ada")

    assert hooks.get(path).json()["disabled_reason"] == "by an operator of this service"
    for name in ("test", f"deliveries/{delivery}/resend"):
        refused = act(hooks, path, name)
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_state")
    assert act(hooks, path, "enable").json()["disabled_at"] is None
    assert act(hooks, path, "test").status_code == 202


def test_a_deleted_endpoint_is_gone_for_its_client(hooks: Api) -> None:
    path = f"{PATH}/{create(hooks)['id']}"

    assert hooks.http.delete(path).status_code == 204
    assert {hooks.get(path).status_code, hooks.http.delete(path).status_code} == {404}
    assert hooks.get(PATH).json()["results"] == []


def test_a_client_has_sixteen_endpoints_at_most(hooks: Api) -> None:
    for number in range(16):
        create(hooks, url=f"{URL}/{number}")
    refused = hooks.post(NEW, path=PATH)

    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_state")


def test_deliveries_come_in_pages(hooks: Api) -> None:
    path = f"{PATH}/{create(hooks)['id']}"
    ids = [act(hooks, path, "test").json()["id"] for _ in range(3)]
    first = hooks.get(f"{path}/deliveries?limit=2").json()
    second = hooks.get(first["next"]).json()

    assert [row["id"] for row in first["results"] + second["results"]] == ids[::-1]
    assert second["next"] is None


def test_every_act_is_on_record_without_a_secret(hooks: Api) -> None:
    made = create(hooks)
    path = f"{PATH}/{made['id']}"
    change(hooks, path, url=f"{URL}/2")
    secret = act(hooks, path, "rotate-secret").json()["secret"]
    for action in ("disable", "enable"):
        call_command("webhooks", action, made["id"], "--reason", "a test", "--by", "ada")
    hooks.http.delete(path)

    acts = Act.objects.filter(area="webhooks", target=made["id"]).order_by("id")
    assert [(row.action, row.by) for row in acts] == [
        ("create", "client shop"),
        ("change", "client shop"),
        ("rotate", "client shop"),
        ("disable", "ada"),
        ("enable", "ada"),
        ("delete", "client shop"),
    ]
    assert secret not in "".join(json.dumps(row.facts) + row.reason for row in acts)


def test_operators_list_and_resend(hooks: Api, capsys: pytest.CaptureFixture[str]) -> None:
    made = create(hooks, url=f"{URL}/very-private-path")
    delivery = act(hooks, f"{PATH}/{made['id']}", "test").json()["id"]
    Delivery.objects.update(state="failed", next_attempt_at=None, last_error="answered 500")
    chosen = ("resend", "--endpoint", made["id"], "--state", "failed", "--reason", "a test")
    call_command("webhooks", "list")
    call_command("webhooks", "deliveries", made["id"], "--state", "failed")
    call_command("webhooks", *chosen, "--dry-run")
    before = Delivery.objects.get().state
    call_command("webhooks", *chosen)
    printed = capsys.readouterr().out

    assert (before, Delivery.objects.get().state) == ("failed", "pending")
    assert made["id"] in printed
    assert f"{delivery}  webhook.test  failed" in printed
    assert "answered 500" in printed
    assert "very-private-path" not in printed
    with pytest.raises(CommandError):
        call_command("webhooks", "resend", "--reason", "nothing is named")
    with pytest.raises(CommandError):
        call_command("webhooks", "enable", str(uuid4()), "--reason", "there is none")
