"""A person is erased on this side: all that says who it was goes, what the books need stays."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.acts.models import Act
from admit_one.contract import Envelope
from admit_one.erasure import erasing, requests
from admit_one.erasure.testing import everything, found, not_erased
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.messaging.tombstones import Tombstone
from admit_one.sealing import cipher
from django.core.management import CommandError, call_command
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeCreated,
    AccessCodeUndeliverable,
    AccessErased,
    AccessErasureRequested,
    SubscriptionErased,
    SubscriptionErasureRequested,
)
from subscriptions import code_requests, lifecycle, persons, resends
from subscriptions.models import Drift, MetadataEntry, Order, ReconciliationRun, Subscription

from tests.conftest import Api
from tests.factories import CODE, a_code_for, a_payload, a_subscription, an_order, seats_of

pytestmark = pytest.mark.django_db

PERSON = ("user-42", "ada@example.com", CODE, "lovelace")
"""What says who it is: in each text that people write stands a name."""

LONG_AGO = timezone.now() - timedelta(days=1)

NOTHING_OF_A_PERSON = {
    "web.ApiKey", "web.RateCount", "webhooks.Endpoint",  # of clients, which are programs
    "sealing.KeyCanary", "sealing.KeyHolder",  # of keys and processes
    "subscriptions.ReconciliationRun",  # windows and counts
    "contenttypes.ContentType", "auth.Permission", "auth.Group", "auth.User",  # of operators
    "admin.LogEntry", "sessions.Session",
}  # fmt: skip


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("erase_person", *arguments, stdout=out, **options)
    return out.getvalue()


def a_person(shop: Api) -> UUID:
    """A subscription about which every table of this side has something."""
    created = shop.post(
        a_payload(reference="lovelace-1", metadata={"seat": "lovelace"}),
        Idempotency_Key="1",
    )
    subscription_id = UUID(created.json()["id"])
    deliver(a_code_for(subscription_id))
    deliver(
        an_envelope(
            AccessCodeUndeliverable, subscription_id=subscription_id, reason="lovelace moved"
        )
    )
    resends.request(
        client="shop", subscription_id=subscription_id, email="ada@example.com", reason="lovelace"
    )
    keeping.keep(
        Received.read(an_envelope_bytes(subscription_id), queue="q"),
        ValueError("lovelace"),
        dead=True,
    )
    keeping.keep(
        Received.read(f'{{"broken": "{subscription_id} lovelace"'.encode(), queue="q"),
        ValueError("lovelace"),
        dead=True,
    )
    run_ = ReconciliationRun.objects.create(since=timezone.now(), until=timezone.now())
    Drift.objects.create(
        run=run_,
        subscription_id=subscription_id,
        kind="code_differs",
        state="open",
        note="lovelace",
    )
    Act.draft("set_aside", "discard", subject=str(subscription_id), reason="lovelace").save()
    OutboxMessage.objects.filter(type="user_subscribed").update(published_at=timezone.now())
    return subscription_id


def an_envelope_bytes(subscription_id: UUID) -> bytes:
    return an_envelope(AccessCodeCreated, subscription_id=subscription_id).to_json()


def test_every_model_is_erased_or_holds_nothing_of_a_person() -> None:
    others = {model._meta.label for model in not_erased()}

    assert others - NOTHING_OF_A_PERSON == set()


def test_nothing_of_a_person_is_left(shop: Api) -> None:
    subscription_id = a_person(shop)
    before = found(*PERSON)

    run("begin", "--user-id", "user-42", "--active")

    assert found(*PERSON) == set()
    assert before >= {
        "subscriptions_subscription.user_id", "subscriptions_subscription.email",
        "subscriptions_subscription.access_code", "subscriptions_subscription.metadata",
        "subscriptions_subscription.reference", "subscriptions_subscription.reason",
        "subscriptions_subscription.mail_failure", "subscriptions_metadataentry.value",
        "subscriptions_drift.note", "web_idempotencykey.body", "messaging_outbox.body",
        "messaging_set_aside.body", "messaging_set_aside.reason", "acts_act.reason",
    }  # fmt: skip
    row = Subscription.objects.get()
    assert (row.id, row.amount, row.currency, row.plan) == (subscription_id, 4900, "EUR", "gold")
    assert (row.status, row.user_id, row.email) == ("cancelled", persons.USER_ID, persons.EMAIL)
    assert MetadataEntry.objects.count() == 0


def test_the_act_and_the_event_hold_ids_only(shop: Api) -> None:
    subscription_id = a_person(shop)

    run("begin", "--email", "ada@example.com", "--active", "--by", "grace")

    act = Act.objects.get(area="persons")
    assert (act.by, act.reason) == ("grace", "")
    assert act.facts == {"subjects": [str(subscription_id)]}
    (request,) = [m for m in map(readable, rows_to_publish()) if m]
    assert request == SubscriptionErasureRequested(
        subscription_id=subscription_id, erasure_id=UUID(act.target)
    )


def rows_to_publish() -> list[OutboxMessage]:
    return list(OutboxMessage.objects.filter(published_at__isnull=True))


def readable(row: OutboxMessage) -> Any:
    return Envelope.from_json(cipher.unseal(row.body, "outbox", row.event_id)).data


def test_a_rehearsal_shows_the_ids_and_changes_nothing(shop: Api) -> None:
    subscription_id = a_person(shop)
    before = sorted(everything())

    shown = run("begin", "--user-id", "user-42", "--active", "--dry-run")

    assert f"{subscription_id}  active" in shown
    assert "1 subscriptions would be erased; nothing was changed" in shown
    assert sorted(everything()) == before


def test_an_active_subscription_is_refused_without_the_flag() -> None:
    a_subscription()

    with pytest.raises(CommandError, match="1 of 1 subscriptions are active, as far as is known"):
        run("begin", "--user-id", "user-42")

    assert Tombstone.objects.count() == 0


def test_others_stay_as_they_are(shop: Api) -> None:
    a_person(shop)
    other = a_subscription(user_id="user-43", email="grace@example.com", reference="hopper")

    run("begin", "--user-id", "user-42", "--active")

    row = Subscription.objects.get(pk=other.pk)
    assert (row.user_id, row.email, row.reference) == ("user-43", "grace@example.com", "hopper")
    assert found("grace@example.com") >= {"messaging_outbox.body"}


def test_events_about_an_erased_subscription_count_as_handled(shop: Api) -> None:
    subscription_id = a_person(shop)
    run("begin", "--user-id", "user-42", "--active")
    before = set(everything())

    late = an_envelope(AccessCodeCreated, subscription_id=subscription_id, access_code=CODE)
    failed = an_envelope(
        AccessCodeUndeliverable, subscription_id=subscription_id, reason="lovelace"
    )
    outcomes = deliver(late, failed)

    assert [outcome.result for outcome in outcomes] == [Result.HANDLED] * 2
    changed = {where.partition(".")[0] for where, _ in set(everything()) - before}
    assert changed <= {"messaging_inbox"}
    assert found(*PERSON) == set()


def test_a_message_about_it_is_not_set_aside(shop: Api) -> None:
    subscription_id = a_person(shop)
    run("begin", "--user-id", "user-42", "--active")
    before = SetAside.objects.count()

    for body in (an_envelope_bytes(subscription_id), f"{{{subscription_id} lovelace".encode()):
        keeping.keep(Received.read(body, queue="late"), ValueError("lovelace"), dead=True)

    assert SetAside.objects.count() == before


def test_an_erased_subscription_waits_for_nothing(shop: Api) -> None:
    a_person(shop)
    run("begin", "--user-id", "user-42", "--active")
    Subscription.objects.update(next_request_at=LONG_AGO)

    assert code_requests.request_again() == 0
    assert resends.request_again() == 0


def test_a_refund_afterwards_keeps_no_reason(shop: Api) -> None:
    subscription_id = a_person(shop)
    run("begin", "--user-id", "user-42", "--active")

    lifecycle.refund(client="shop", subscription_id=subscription_id, reason="lovelace asked")

    row = Subscription.objects.get()
    assert (row.status, row.reason) == ("refunded", "")


def test_a_repeated_post_hears_that_its_answer_is_gone(shop: Api) -> None:
    a_person(shop)
    run("begin", "--user-id", "user-42", "--active")

    again = shop.post(
        a_payload(reference="lovelace-1", metadata={"seat": "lovelace"}), Idempotency_Key="1"
    )

    assert (again.status_code, again.json()["code"]) == (410, "erased")
    assert Subscription.objects.count() == 1


def test_an_order_keeps_its_words_until_its_last_seat_is_erased() -> None:
    order = an_order(seats=2, reference="lovelace", metadata={"for": "lovelace"})
    first, second = map(str, seats_of(order))

    run("begin", "--subscription", first, "--active")
    kept = Order.objects.get().reference
    run("begin", "--subscription", second, "--active")

    assert kept == "lovelace"
    assert found("lovelace") == set()
    assert Order.objects.get().completed_at is not None


def test_the_first_answer_about_an_order_goes_with_its_words(shop: Api) -> None:
    body = {"subscriptions": [a_payload()], "reference": "lovelace", "metadata": {"a": "lovelace"}}
    shop.post(body, path="/v1/orders", Idempotency_Key="9")
    before = found("lovelace")

    run("begin", "--user-id", "user-42", "--active")

    assert "web_idempotencykey.body" in before
    assert found("lovelace") == set()


def test_a_request_of_the_other_side_is_done_and_answered(shop: Api) -> None:
    subscription_id = a_person(shop)
    asked = an_envelope(AccessErasureRequested, subscription_id=subscription_id)

    assert [outcome.result for outcome in deliver(asked)] == [Result.HANDLED]
    assert erasing.erase_due()
    assert not erasing.erase_due()

    assert found(*PERSON) == set()
    (row,) = rows_to_publish()
    answer = readable(row)
    assert isinstance(answer, SubscriptionErased)
    assert answer.erasure_id == asked.data.erasure_id


def test_a_request_delivered_again_is_answered_again(shop: Api) -> None:
    subscription_id = a_person(shop)
    asked = an_envelope(AccessErasureRequested, subscription_id=subscription_id)
    deliver(asked)
    erasing.erase_due()

    deliver(an_envelope(AccessErasureRequested, subscription_id=subscription_id))

    assert [type(readable(row)) for row in rows_to_publish()] == [SubscriptionErased] * 2


def test_the_request_is_repeated_until_it_is_answered() -> None:
    subscription = a_subscription()
    run("begin", "--user-id", "user-42", "--active")
    assert requests.repeat() == 0
    Tombstone.objects.update(next_request_at=LONG_AGO)
    assert requests.repeat() == 1
    with pytest.raises(SystemExit) as waits:
        run("show", str(subscription.id))
    deliver(an_envelope(AccessErased, subscription_id=subscription.id))
    Tombstone.objects.filter(next_request_at__isnull=False).update(next_request_at=LONG_AGO)

    assert waits.value.code == 1
    assert requests.repeat() == 0
    assert "on the other side by" in run("show", str(subscription.id))


def test_a_side_that_has_lost_its_tombstone_gets_another_request() -> None:
    subscription = a_subscription()
    run("begin", "--user-id", "user-42", "--active")
    deliver(an_envelope(AccessErased, subscription_id=subscription.id))

    deliver(an_envelope(AccessCodeCreated, subscription_id=subscription.id))

    assert [m.data.type for m in published() if m.data.about_erasure] == [
        "subscription_erasure_requested"
    ] * 2


def test_why_and_the_desk_of_operators_say_that_it_was_erased(shop: Api) -> None:
    subscription_id = a_person(shop)
    run("begin", "--user-id", "user-42", "--active")
    row = SetAside.objects.filter(subject=str(subscription_id)).get()
    out = io.StringIO()
    for command in (
        ("why", str(subscription_id)),
        ("set_aside", "show", str(row.pk)),
        ("set_aside", "replay", str(row.pk), "--again", "--reason", "lovelace called"),
    ):
        with suppress(SystemExit, CommandError):  # their exit codes say that it waits
            call_command(*command, stdout=out, stderr=out)

    assert "its person was erased here" in out.getvalue()
    assert "its subject was erased" in out.getvalue()
    assert found(*PERSON) == set()


def test_who_buys_again_afterwards_is_a_new_subscription(shop: Api) -> None:
    a_person(shop)
    run("begin", "--user-id", "user-42", "--active")

    bought = shop.post(a_payload(), Idempotency_Key="2").json()
    deliver(a_code_for(UUID(bought["id"])))

    assert Subscription.objects.get(pk=bought["id"]).status == "active"
    assert bought["id"] in run("begin", "--user-id", "user-42", "--active", "--dry-run")
