"""What Stripe reports and finds no subscription is found, exported and erased by whom it names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from admit_one.acts.models import Act
from admit_one.erasure.definition import Person
from admit_one.erasure.testing import everything, found
from admit_one.messaging.tombstones import Tombstone
from django.core.management import CommandError, call_command
from providers import by_hand, erasing, persons
from providers.fake_stripe import event
from providers.models import ProviderEvent, ProviderPerson
from subscriptions.models import Subscription

from tests.factories import a_subscription
from tests.providers.stripe_steps import (
    COMPLETED,
    ENDED,
    FAILED,
    ONCE,
    PAID,
    PAYMENT,
    REFUNDED,
    SALE,
    send,
    stripe_sends,
    the_event,
)
from tests.test_erase_person import run

pytestmark = pytest.mark.django_db

USER = "user-42"
PERSON = ("ada@example.com", "lovelace", USER)
BY_ADDRESS = ("--email", "Ada@Example.com")
BY_USER = ("--user-id", USER)


def without_plan() -> ProviderEvent:
    """A checkout that is open, and names a user and an address."""
    stripe_sends(COMPLETED, replace(SALE, plan=None))
    return the_event(COMPLETED)


def erase(*named: str) -> str:
    return run("begin", *named, "--active", "--by", "grace")


@pytest.mark.parametrize("named", [BY_ADDRESS, BY_USER])
def test_an_open_event_is_found_before_and_nothing_after(named: tuple[str, ...]) -> None:
    row = without_plan()
    before = found(*PERSON)

    shown = erase(*named)

    assert found(*PERSON) == set()
    assert before == {"providers_providerevent.body", "providers_providerperson.name"}
    kept, act = the_event(COMPLETED), Act.objects.get()
    assert (kept.state, kept.reason, kept.amount) == ("ignored", "its person was erased", 4900)
    assert kept.handled_at is not None
    assert (act.area, act.action, act.by, act.target) == (
        *("provider_events", "erase", "grace"),
        str(row.pk),
    )
    assert "1 open events erased" in shown
    assert Tombstone.objects.count() == 0


def test_it_is_erased_with_the_subscriptions_of_the_same_person() -> None:
    without_plan()
    a_subscription(client="stripe", user_id=USER, email="ada@example.com")

    shown = erase(*BY_USER)

    assert "1 open events erased\n1 subscriptions erased" in shown
    assert found(*PERSON) == set()


def test_a_rehearsal_counts_open_events_and_changes_nothing() -> None:
    row = without_plan()
    before = sorted(everything())

    shown = run("begin", *BY_ADDRESS, "--active", "--dry-run")

    assert f"{row.pk}  open event  of stripe" in shown
    assert "stripe goes on charging for sub_a1 unless it has ended there" in shown
    assert "\n1 open events would be erased; nothing was changed" in shown
    assert sorted(everything()) == before


def test_what_may_have_been_paid_is_refused_without_the_flag() -> None:
    without_plan()

    with pytest.raises(CommandError, match="1 open events may be of something paid"):
        run("begin", *BY_ADDRESS)

    assert the_event(COMPLETED).state == "unmatched"


def test_it_is_exported_in_clear() -> None:
    row = without_plan()
    by_hand.retry(row.pk, by="grace", reason="Ada called", given={})
    out = io.StringIO()
    call_command("export_person", *BY_ADDRESS, stdout=out)

    kept = json.loads(out.getvalue())["kept"]
    [exported] = kept["provider event"]
    assert exported["body"]["data"]["object"]["customer_details"]["email"] == "ada@example.com"
    names = {each["kind"]: each["name"] for each in kept["provider person"]}
    assert names == {"user_id": USER, "email": "ada@example.com"}
    assert [each["reason"] for each in kept["act"]] == ["Ada called"]


def test_what_operators_wrote_goes_too() -> None:
    row = without_plan()
    by_hand.retry(row.pk, by="hopper", reason="lovelace called", given={})

    erase(*BY_USER)

    acts = Act.objects.order_by("id").values_list("action", "by", "reason")
    assert list(acts) == [("retry", "hopper", ""), ("erase", "grace", "")]


@pytest.mark.parametrize(
    ("kind", "sale"),
    [(PAID, SALE), (FAILED, SALE), (REFUNDED, ONCE)],
)
def test_whoever_pays_is_found_by_address(kind: str, sale: Any) -> None:
    stripe_sends(kind, sale)

    erase(*BY_ADDRESS)

    assert found(*PERSON) == set()


def test_an_address_is_found_however_its_domain_is_written() -> None:
    stripe_sends(PAID, replace(SALE, email="Ada@Bücher.example"))

    assert persons.find(Person(emails=["ada@xn--bcher-kva.example"])).subjects != {}
    assert persons.find(Person(emails=["ada@bücher.example"])).subjects != {}
    assert persons.find(Person(emails=["xada@bücher.example"])).subjects == {}


def test_an_address_is_no_user_id() -> None:
    stripe_sends(COMPLETED, replace(SALE, plan=None, user_id="grace@example.com"))

    assert persons.find(Person(emails=["grace@example.com"])) == ({}, {})
    assert persons.find(Person(user_ids=["grace@example.com"])).subjects != {}


def test_the_user_of_another_client_is_another_person() -> None:
    row = without_plan()
    a_subscription(client="shop", user_id=USER)

    with pytest.raises(CommandError, match="several clients, shop, stripe: give the right"):
        erase(*BY_USER)
    erase(*BY_USER, "--client", "shop")

    assert ProviderEvent.objects.get(pk=row.pk).state == "unmatched"
    assert Subscription.objects.get().user_id == "erased"


def with_two_addresses() -> ProviderEvent:
    made = event(REFUNDED, SALE)
    made["data"]["object"]["receipt_email"] = "grace@example.com"
    send(made)
    return the_event(REFUNDED)


def test_what_names_another_address_too_is_not_taken() -> None:
    row = with_two_addresses()
    stripe_sends(PAID)

    shown = erase(*BY_ADDRESS)

    assert f"{row.pk}  open event, not taken, because it names another address, too" in shown
    assert the_event(REFUNDED).body is not None
    assert the_event(PAID).body is None


def test_it_is_taken_if_both_addresses_are_theirs() -> None:
    with_two_addresses()

    erase(*BY_ADDRESS, "--email", "grace@example.com")

    assert the_event(REFUNDED).body is None


def test_whoever_is_erased_by_their_only_subscription_loses_open_events_too() -> None:
    without_plan()
    row = a_subscription(client="stripe", user_id=USER, email="grace@example.com")

    erase("--subscription", str(row.pk))

    assert the_event(COMPLETED).body is None


def test_whoever_keeps_a_subscription_keeps_open_events() -> None:
    kept = without_plan()
    rows = [a_subscription(client="stripe", user_id=USER) for _ in range(2)]

    shown = erase("--subscription", str(rows[0].pk))

    why = f"the user of {rows[0].pk} has another subscription, which stays"
    assert f"{kept.pk}  open event, not taken, because {why}: give --user-id, if" in shown
    assert the_event(COMPLETED).body is not None


def test_what_names_only_the_address_of_a_subscription_is_not_taken_with_it() -> None:
    stripe_sends(PAID)
    row = a_subscription(client="stripe", user_id="user-7", email="Ada@example.com")

    shown = erase("--subscription", str(row.pk))

    assert f"not taken, because it names only the address of {row.pk}: give --email" in shown
    assert the_event(PAID).body is not None


@pytest.mark.parametrize("later", [(PAID, 2), (PAYMENT, 1), (ENDED, 1), (COMPLETED, 1)])
def test_what_comes_later_of_the_same_sale_brings_nobody_back(later: tuple[str, int]) -> None:
    stripe_sends(PAID)
    erase(*BY_ADDRESS)
    kind, period = later

    result = stripe_sends(kind, SALE, period=period)

    assert result == "handled"
    assert found(*PERSON) == set()
    assert Subscription.objects.count() == 0


def test_what_waits_for_the_same_sale_goes_too() -> None:
    stripe_sends(ENDED)
    stripe_sends(FAILED)
    stripe_sends(REFUNDED, replace(ONCE, email="grace@example.com"))

    erase(*BY_ADDRESS)

    open_ = ProviderEvent.objects.filter(handled_at=None)
    assert [row.type for row in open_] == [REFUNDED]
    assert found(*PERSON[:1]) == set()


def test_a_payment_for_an_erased_sale_is_reported_as_in_vain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    without_plan()
    erase(*BY_USER)
    stripe_sends(PAID)

    assert "stripe event evt_a1_invoice_paid_1 was paid in vain" in caplog.text


def test_the_same_event_sent_again_is_a_duplicate() -> None:
    without_plan()
    erase(*BY_USER)

    assert stripe_sends(COMPLETED, replace(SALE, plan=None)) == "duplicate"
    assert found(*PERSON) == set()


def give_the_plan() -> None:
    by_hand.retry(the_event(COMPLETED).pk, by="grace", reason="x", given={"plan": "gold"})


def close() -> None:
    by_hand.close(the_event(COMPLETED).pk, by="grace", reason="x")


@pytest.mark.parametrize("end", [give_the_plan, close])
def test_whom_it_named_is_forgotten_when_an_event_ends(end: Callable[[], None]) -> None:
    without_plan()
    stripe_sends(PAID)
    before = ProviderPerson.objects.filter(event=the_event(COMPLETED)).count()

    end()

    assert before == 2
    assert not ProviderPerson.objects.filter(event__handled_at__isnull=False).exists()


def test_an_event_that_is_handled_at_once_notes_nobody() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID)

    assert ProviderPerson.objects.count() == 0


def test_what_an_erased_subscription_left_open_goes_with_it() -> None:
    row = without_plan()
    owner = a_subscription(client="stripe", user_id="user-7", email="grace@example.com")
    ProviderEvent.objects.filter(pk=row.pk).update(subscription_id=owner.pk)

    erase("--subscription", str(owner.pk))

    assert found(*PERSON) == set()


def test_an_event_that_became_a_subscription_meanwhile_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = without_plan()
    with monkeypatch.context() as too_late:
        too_late.setattr(erasing, "_keep_no_more", lambda _: give_the_plan())
        with pytest.raises(CommandError, match=f"{row.pk} became a subscription meanwhile: begin"):
            erase(*BY_USER)
    assert the_event(COMPLETED).state == "handled"

    erase(*BY_USER)

    assert found(*PERSON) == set()


def test_what_is_no_text_names_nobody() -> None:
    made = event(PAID, SALE)
    made["data"]["object"] |= {"customer_email": ["ada@example.com"], "parent": 7}
    send(made)

    assert the_event(PAID).state == "failed"
    assert ProviderPerson.objects.count() == 0
