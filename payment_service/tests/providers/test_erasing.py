"""What Stripe's events say about a person can be erased, also while others are handled."""

from __future__ import annotations

from threading import Event
from uuid import UUID

import pytest
from admit_one.acts.models import Act
from django.db import connection, transaction
from providers import by_hand, handling
from providers.erasing import erase
from providers.fake_stripe import event
from providers.models import ProviderEvent
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    FAILED,
    ONCE,
    PAID,
    SALE,
    at_once,
    send,
    stripe_sends,
    the_event,
    the_subscription,
)
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def bodies() -> list[bytes]:
    return [body for row in ProviderEvent.objects.all() if (body := row.opened()) is not None]


def test_bodies_and_reasons_go_and_ids_and_amounts_stay() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    stripe_sends(COMPLETED, ONCE)
    row = Subscription.objects.get(reference=SALE.id("cs")).pk
    assert any(b"ada@example.com" in body for body in bodies())
    erase([str(row)])

    kept = the_event(PAID)
    assert (kept.event_id, kept.amount, kept.currency) == ("evt_a1_invoice_paid_1", 4900, "EUR")
    assert (kept.body, kept.reason, kept.subscription_id) == (None, "", row)
    assert len(bodies()) == 1


def test_what_comes_later_is_handled_without_its_body() -> None:
    stripe_sends(COMPLETED)
    erase([str(the_subscription().pk)])
    stripe_sends(PAID)

    assert (the_event(PAID).state, bodies()) == ("handled", [])
    assert the_subscription().valid_until is not None


def test_an_event_that_waits_for_its_turn_is_handled_without_its_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stripe_sends(PAID)
    monkeypatch.setattr(handling, "handle_due", lambda: None)
    stripe_sends(COMPLETED)
    monkeypatch.undo()
    assert the_event(PAID).state == "received"
    erase([str(the_subscription().pk)])
    handling.handle_due()

    assert (the_event(PAID).state, bodies()) == ("handled", [])


def test_an_open_event_of_an_erased_person_is_not_tried_again() -> None:
    stripe_sends(COMPLETED)
    row = the_subscription().pk
    state = ProviderEvent.State.FAILED
    ProviderEvent.objects.update(state=state, handled_at=None, reason="x")
    erase([str(row)])

    kept = the_event(COMPLETED)
    assert (kept.state, kept.body, kept.reason) == ("ignored", None, "")
    assert kept.handled_at is not None


@pytest.mark.parametrize("turn", range(5))
def test_erasing_while_events_are_handled_leaves_no_body(turn: int) -> None:
    stripe_sends(COMPLETED)
    row = the_subscription().pk
    at_once(
        lambda: send(event(PAID, SALE)),
        lambda: erase([str(row)]),
        lambda: send(event(FAILED, SALE, period=2)),
    )

    assert bodies() == []
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"handled"}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_erasing_waits_for_nobody_who_handles_an_event() -> None:
    stripe_sends(COMPLETED)
    ProviderEvent.objects.update(state=ProviderEvent.State.RECEIVED, handled_at=None)
    row = the_event(COMPLETED)
    with transaction.atomic():
        ProviderEvent.objects.select_for_update().get(pk=row.pk)
        at_once(lambda: erase([str(the_subscription().pk)]))
    handling.handle_due()

    assert bodies() == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_erasing_waits_for_whoever_holds_an_event_that_has_ended() -> None:
    stripe_sends(COMPLETED)
    row = the_event(COMPLETED)
    held, subscription = Event(), the_subscription().pk

    def reseal() -> None:
        """As `rotate_keys` does."""
        with transaction.atomic():
            ProviderEvent.objects.select_for_update().get(pk=row.pk)
            held.set()
            eventually(somebody_waits)

    def erase_it() -> None:
        held.wait(30)
        erase([str(subscription)])

    at_once(reseal, erase_it)

    assert bodies() == []


def test_what_an_operator_wrote_before_an_event_had_a_subscription_goes() -> None:
    stripe_sends(PAID)
    row = the_event(PAID)
    by_hand.retry(row.pk, by="grace", reason="lovelace called", given={})
    stripe_sends(COMPLETED)

    erase([str(the_subscription().pk)])

    act = Act.objects.get()
    assert (act.by, act.subject, act.reason) == ("grace", "", "")


def test_an_erasure_of_what_no_provider_reported_does_nothing() -> None:
    stripe_sends(COMPLETED)
    erase([str(UUID(int=0))])

    assert len(bodies()) == 1
