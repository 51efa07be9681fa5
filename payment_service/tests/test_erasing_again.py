"""Erasures that meet: of both sides at once, of two seats of an order, and of the same person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import uuid4

import pytest
from admit_one.erasure import erasing, requests
from admit_one.erasure.library import Searched, search
from admit_one.erasure.testing import found
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.tombstones import Tombstone
from django.db import transaction
from django.utils import timezone
from shared_contracts.events import AccessErased, AccessErasureRequested, SubscriptionErased
from subscriptions import code_requests
from subscriptions.models import Subscription
from uuid_utils.compat import uuid7

from tests.conftest import Api
from tests.factories import a_payload, a_subscription
from tests.test_erase_person import LONG_AGO, readable, rows_to_publish, run

pytestmark = pytest.mark.django_db


def test_a_request_that_waited_is_answered_by_who_erases_the_same_here() -> None:
    row = a_subscription()
    asked = an_envelope(AccessErasureRequested, subscription_id=row.id)
    deliver(asked)

    shown = run("begin", "--user-id", "user-42", "--active")

    [answer] = [readable(each) for each in rows_to_publish()]
    assert isinstance(answer, SubscriptionErased)
    assert answer.erasure_id == asked.data.erasure_id
    assert f"show {asked.data.erasure_id}" in shown
    assert "as the other side had asked" in run("show", str(asked.data.erasure_id))


def test_of_two_that_erase_a_seat_each_one_removes_the_answer_of_their_order(
    shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    seats: list[Any] = [a_payload(user_id=f"user-{n}") for n in range(2)]
    shop.post(
        {"subscriptions": seats, "reference": "lovelace"}, path="/v1/orders", Idempotency_Key="9"
    )
    first, second = map(str, Subscription.objects.order_by("pk").values_list("pk", flat=True))
    others = [first]

    def searched(subjects: Sequence[str], belonging: Collection[str]) -> Searched:
        result = search(subjects, belonging)
        if others:
            erasing.begin([others.pop()], uuid7(), by="grace")
        return result

    monkeypatch.setattr(erasing, "search", searched)
    erasing.begin([second], uuid7(), by="grace")

    assert found("lovelace") == set()


def test_requests_are_repeated_for_all_that_is_erased_here() -> None:
    rows = [a_subscription() for _ in range(3)]
    run("begin", "--user-id", "user-42", "--active")
    deliver(*(an_envelope(AccessErased, subscription_id=row.id) for row in rows))
    Tombstone.objects.filter(pk=str(rows[0].id)).update(erased_at=LONG_AGO)
    OutboxMessage.objects.all().delete()

    recent = run("request-again", "--since", f"{timezone.now():%Y-%m-%d}")
    assert "erases 2 subscriptions" in recent
    assert "erases 3 subscriptions" in run("request-again")
    assert len(rows_to_publish()) == 5


def test_the_waits_for_an_answer_begin_again_with_each_question() -> None:
    row = a_subscription()
    run("begin", "--user-id", "user-42", "--active")
    Tombstone.objects.update(requests=9)
    deliver(an_envelope(AccessErased, subscription_id=row.id))

    run("request-again")

    stone = Tombstone.objects.get()
    assert stone.next_request_at is not None
    assert stone.next_request_at - timezone.now() < requests.AGAIN_AFTER[1]


def test_the_revocation_of_an_erased_subscription_is_not_requested() -> None:
    row = a_subscription()
    run("begin", "--user-id", "user-42", "--active")
    OutboxMessage.objects.all().delete()

    with transaction.atomic():
        code_requests.revoke_at_once([row.id])

    assert rows_to_publish() == []
    assert Subscription.objects.get().code_revoked_at is not None


def test_nothing_says_in_which_language_it_was_mailed() -> None:
    a_subscription(language="de-CH")

    run("begin", "--user-id", "user-42", "--active")

    assert found("de-CH") == set()


def test_erasing_again_keeps_the_time_and_asks_nobody() -> None:
    a_subscription()
    run("begin", "--user-id", "user-42", "--active")
    stone, row = Tombstone.objects.get(), Subscription.objects.get()
    OutboxMessage.objects.all().delete()

    shown = run("begin", "--subscription", str(row.pk), "--again")

    assert "1 subscriptions erased again, here only" in shown
    assert Tombstone.objects.get().erased_at == stone.erased_at
    assert Subscription.objects.get().erased_at == row.erased_at
    assert rows_to_publish() == []


def test_what_no_key_opens_is_reported() -> None:
    row = a_subscription()
    keeping.keep(Received.read(b"about nobody", queue="q"), ValueError("x"), dead=True)
    SetAside.objects.update(body=b"\x82k9" + b"0" * 40)
    keeping.keep(Received.read(b"another", queue="q"), ValueError("x"), dead=True)

    shown = run("begin", "--user-id", "user-42", "--active")
    again = run("begin", "--subscription", str(row.pk), "--again")

    assert "1 unreadable messages do not open" in shown
    assert "erase again with --again" in again


def test_a_request_of_the_other_side_about_nothing_is_answered() -> None:
    deliver(an_envelope(AccessErasureRequested, subscription_id=uuid4()))

    assert erasing.erase_due()
    assert [type(readable(each)) for each in rows_to_publish()] == [SubscriptionErased]
