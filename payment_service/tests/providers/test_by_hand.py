"""Operators list events, try them again, give what they lack, and close them: all on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from admit_one.acts.models import Act
from admit_one.messaging.why import timeline
from django.core.management import CommandError, call_command
from django.utils import timezone
from providers import effects, metrics, retention
from providers.commands import Cancel
from providers.models import ProviderEvent, ProviderLink
from subscriptions.models import Subscription

from tests.providers.stripe_steps import (
    COMPLETED,
    PAID,
    REFUNDED,
    SALE,
    stripe_sends,
    the_event,
    the_subscription,
)

pytestmark = pytest.mark.django_db


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("provider_events", *map(str, arguments), stdout=out, stderr=out)
    return out.getvalue()


def without_plan() -> ProviderEvent:
    stripe_sends(COMPLETED, replace(SALE, plan=None))
    return the_event(COMPLETED)


def test_events_are_counted_and_listed_by_state() -> None:
    row = without_plan()
    counts, listed, none = (
        run("list"),
        run("list", "--state", "unmatched"),
        run("list", "--state", "failed"),
    )

    assert "unmatched          1" in counts
    assert f"{row.id}  {COMPLETED}  test  4900 EUR  unmatched  it lacks plan;" in listed
    assert none == "no event is failed\n"


def test_an_event_is_shown_without_address_and_code() -> None:
    stripe_sends(PAID)
    shown = run("show", the_event(PAID).id)

    assert "waits for     another event that says which subscription sub_a1 is" in shown
    assert "body          is kept, sealed" in shown
    assert "ada@" not in shown


def test_what_a_checkout_lacks_can_be_given_on_record() -> None:
    stripe_sends(PAID)
    row = without_plan()
    run("retry", row.id, "--plan", "gold", "--reason", "asked Ada", "--by", "grace")

    act = Act.objects.get()
    assert (the_subscription().plan, the_event(COMPLETED).state) == ("gold", "handled")
    assert (act.by, act.action, act.reason, act.result) == (
        "grace",
        "retry",
        "asked Ada",
        "handled",
    )
    assert act.facts == {"event_id": row.event_id, "given": ["plan"]}
    assert act.subject == str(the_subscription().id)
    assert the_event(PAID).state == "handled"
    assert "retry" in run("show", row.id)


def test_what_is_given_is_checked_too() -> None:
    row = without_plan()
    with pytest.raises(CommandError, match="1 of 1 events are still open"):
        run("retry", row.id, "--plan", "https://evil.example", "--reason", "x")

    assert (the_event(COMPLETED).state, Subscription.objects.count()) == ("failed", 0)


def test_a_rehearsal_changes_nothing() -> None:
    row = without_plan()
    said = run("retry", "--state", "unmatched", "--reason", "x", "--dry-run")

    assert "would retry 1 events; nothing was changed" in said
    assert str(row.id) in said
    assert not Act.objects.exists()


def test_a_closed_event_has_no_body_and_is_tried_no_more() -> None:
    stripe_sends(PAID)
    run("close", the_event(PAID).id, "--reason", "another product")
    stripe_sends(COMPLETED)

    row = the_event(PAID)
    assert (row.state, row.reason, row.body) == ("ignored", "closed by an operator", None)
    assert the_subscription().valid_until is None
    assert Act.objects.get().action == "close"


@pytest.mark.parametrize("action", ["retry", "close"])
def test_what_is_not_open_is_left_as_it_is(action: str) -> None:
    stripe_sends(COMPLETED)
    for row_id in (the_event(COMPLETED).id, uuid4()):
        with pytest.raises(CommandError, match="1 of 1 events"):
            run(action, row_id, "--reason", "x")

    assert the_event(COMPLETED).state == "handled"
    assert not Act.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["retry", "--reason", "x"],
        ["retry", str(uuid4()), "--state", "failed", "--reason", "x"],
        ["retry", "--state", "failed", "--plan", "gold", "--reason", "x"],
    ],
)
def test_half_a_choice_is_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        run(*arguments)

    assert refused.value.returncode == 2


def test_a_fault_of_ours_costs_one_event_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    for name in ("a1", "a2"):
        stripe_sends(PAID, replace(SALE, name=name))
    monkeypatch.setitem(effects.EFFECTS, Cancel, fail)
    stripe_sends("customer.subscription.deleted")
    stripe_sends(COMPLETED)
    monkeypatch.undo()
    stripe_sends(COMPLETED, replace(SALE, name="a2"))

    states = dict(ProviderEvent.objects.values_list("event_id", "state"))
    assert states["evt_a1_customer_subscription_deleted_1"] == "failed"
    assert states["evt_a2_invoice_paid_1"] == "handled"
    reason = the_event("customer.subscription.deleted").reason
    assert reason == "a fault of ours: RuntimeError; the log says more"
    run("retry", "--state", "failed", "--reason", "mended")
    assert the_event("customer.subscription.deleted").state == "handled"


def test_a_new_event_that_we_fail_to_handle_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    stripe_sends(COMPLETED)
    with monkeypatch.context() as with_bug:
        with_bug.setitem(effects.EFFECTS, Cancel, fail)
        result = stripe_sends("customer.subscription.deleted")

    assert result == "failed"
    run("retry", "--state", "failed", "--reason", "mended")
    assert the_subscription().cancelled_at is not None


def test_open_events_are_a_gauge() -> None:
    without_plan()
    stripe_sends(REFUNDED)
    [family] = metrics.open_events()

    values = {sample.labels["state"]: sample.value for sample in family.samples}
    assert values == {"received": 0, "unmatched": 2, "failed": 0}


def test_why_shows_the_events_of_a_subscription() -> None:
    stripe_sends(COMPLETED)
    stripe_sends(PAID)
    steps = [step.what for step in timeline.of(str(the_subscription().id)).steps]

    assert "stripe reports invoice.paid (evt_a1_invoice_paid_1)" in steps


def test_ended_events_are_deleted_after_45_days_and_open_ones_stay() -> None:
    stripe_sends(COMPLETED)
    stripe_sends("customer.updated")
    stripe_sends(REFUNDED, replace(SALE, name="other"))
    young = replace(SALE, name="young")
    stripe_sends(COMPLETED, young)
    old: dict[str, Any] = {"received_at": timezone.now() - timedelta(days=46)}
    ProviderEvent.objects.exclude(event_id__contains="young").update(**old)
    ended = ProviderEvent.objects.filter(handled_at__isnull=False)
    ended.exclude(event_id__contains="young").update(handled_at=old["received_at"])
    deleted = retention.prune()

    left = set(ProviderEvent.objects.values_list("event_id", flat=True))
    assert deleted == 2
    assert left == {"evt_other_charge_refunded_1", "evt_young_checkout_session_completed_1"}
    assert ProviderLink.objects.filter(external_id="sub_a1").exists()
    assert stripe_sends(COMPLETED) == "handled"
    assert Subscription.objects.count() == 2
