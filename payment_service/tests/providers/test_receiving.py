"""What a provider has signed is taken once, whatever fails and however many come at once."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from admit_one.messaging.testing import published
from django.db import OperationalError, connection, transaction
from providers import handling, stripe
from providers.fake_stripe import event, written
from providers.models import ProviderEvent, ProviderLink
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    FAILED,
    PAID,
    PAID_LATER,
    SALE,
    SECRET,
    at_once,
    nothing_was_kept,
    send,
    stripe_sends,
    the_event,
)
from tools.system.eventually import eventually
from tools.system.races import somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_that_comes_again_changes_nothing() -> None:
    results = [stripe_sends(COMPLETED) for _ in range(3)]

    assert results == ["handled", "duplicate", "duplicate"]
    assert Subscription.objects.count() == len(published()) == 1


def test_an_event_that_stripe_repeats_may_count_its_deliveries() -> None:
    again = event(COMPLETED, SALE) | {"pending_webhooks": 7}

    assert send(event(COMPLETED, SALE)).json() == {"result": "handled"}
    assert send(again).json() == {"result": "duplicate"}


def test_an_event_that_stripe_repeats_may_have_gained_a_field() -> None:
    again = event(COMPLETED, SALE)
    again["data"]["object"]["added_to_all_versions"] = None

    assert send(event(COMPLETED, SALE)).json() == {"result": "handled"}
    assert send(again).json() == {"result": "duplicate"}


def test_an_event_that_an_earlier_release_has_handled_is_a_duplicate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = event(COMPLETED, SALE) | {"api_version": "2026-01-01.before"}
    before["data"] = {"object": {**before["data"]["object"], "in_another_form": True}}
    with monkeypatch.context() as earlier:
        earlier.setattr(stripe, "API_VERSION", before["api_version"])
        assert send(before).json() == {"result": "handled"}

    assert send(event(COMPLETED, SALE)).json() == {"result": "duplicate"}
    assert Subscription.objects.count() == 1


@pytest.mark.parametrize(
    "where",
    ["providers.handling.record", "providers.effects.apply", "providers.models.ProviderEvent.save"],
)
def test_a_crash_before_the_commit_keeps_nothing_and_stripe_sends_it_again(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, crash)
    with pytest.raises(KeyboardInterrupt):
        send(event(COMPLETED, SALE))
    monkeypatch.undo()
    assert nothing_was_kept()

    assert send(event(COMPLETED, SALE)).json() == {"result": "handled"}


def test_an_outage_of_the_database_is_answered_with_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr("providers.receiving.bulk.insert_new", fail)
    response = send(event(COMPLETED, SALE))

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


def test_what_waits_is_handled_by_the_task_if_the_process_ends_after_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stripe_sends(PAID)
    monkeypatch.setattr(handling, "handle_due", lambda: None)
    stripe_sends(COMPLETED)
    monkeypatch.undo()
    assert the_event(PAID).state == "received"
    handled = handling.handle_due()

    assert handled == 1
    assert the_event(PAID).state == "handled"
    assert Subscription.objects.get().valid_until is not None


def test_what_is_signed_in_utf_8_is_read_as_it_is() -> None:
    made = event(COMPLETED, replace(SALE, plan="Größe-✓"))
    made["data"]["object"]["customer_details"]["name"] = "Achu ₹ മലയാളം"
    response = send(json.dumps(made, ensure_ascii=False).encode())

    assert response.json() == {"result": "handled"}
    assert Subscription.objects.get().plan == "Größe-✓"


def test_the_body_is_sealed_and_no_log_has_what_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = event(COMPLETED, replace(SALE, plan=None))
    send(made)

    row = ProviderEvent.objects.get()
    assert row.opened() == written(made)
    assert b"ada" not in bytes(row.body or b"")
    for text in ("ada@", "Lovelace", "user-42", SECRET):
        assert text not in caplog.text


@pytest.mark.parametrize("turn", range(5))
def test_both_events_of_one_checkout_at_once_are_one_subscription(turn: int) -> None:
    sale = replace(SALE, name=f"t{turn}")
    made = [event(kind, sale) for kind in (COMPLETED, PAID_LATER, COMPLETED, PAID_LATER)]
    responses = at_once(*[lambda each=each: send(each) for each in made])

    assert {response.status_code for response in responses} == {200}
    assert Subscription.objects.count() == len(published()) == 1


@pytest.mark.parametrize("turn", range(5))
def test_both_events_at_once_are_one_subscription_after_one_that_lacked_something(
    turn: int,
) -> None:
    sale = replace(SALE, name=f"t{turn}")
    send(event(COMPLETED, replace(sale, plan=None)))
    made = [event(PAID_LATER, sale, period=period) for period in range(1, 5)]
    at_once(*[lambda each=each: send(each) for each in made])

    assert Subscription.objects.count() == len(published()) == 1
    assert the_event(COMPLETED).state == "handled"


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_an_event_waits_for_another_that_links_its_id() -> None:
    stripe_sends(PAID)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            ids = [SALE.id("sub"), SALE.id("in", 2)]
            held = ProviderLink.objects.hold("stripe", test=True, ids=ids[:1])
            late = pool.submit(at_once, lambda: send(event(FAILED, SALE, period=2)))
            eventually(somebody_waits)
            send(event(COMPLETED, SALE))
        late.result()

    assert held == {ids[0]: None}
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}


@pytest.mark.parametrize("turn", range(5))
def test_an_invoice_at_once_with_its_checkout_is_not_left_waiting(turn: int) -> None:
    sale = replace(SALE, name=f"t{turn}")
    at_once(*[lambda kind=kind: send(event(kind, sale)) for kind in (COMPLETED, PAID)])

    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}
    assert Subscription.objects.get().valid_until is not None


def test_events_are_listed_as_json_in_the_answer_only_by_their_result() -> None:
    response = send(event(COMPLETED, SALE))

    assert json.loads(response.content) == {"result": "handled"}
