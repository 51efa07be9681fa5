"""Whatever is under way when a person is erased, on two connections: nothing is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from access_codes import operating, redeeming, uses
from access_codes.models import AccessCode, MailIntent, Redemption
from access_codes.reconciliation import grants
from access_codes.redeeming import Question
from admit_one.contract.envelope import Envelope
from admit_one.erasure import erasing, library
from admit_one.erasure.testing import found
from admit_one.messaging import publish
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope, deliver
from django.db import connection, transaction
from shared_contracts.events import UserSubscribed
from uuid_utils.compat import uuid7

from tools.system.eventually import eventually
from tools.system.races import in_a_thread, somebody_waits

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]

ADDRESS = "ada@example.com"


def a_request() -> Envelope[UserSubscribed]:
    return an_envelope(UserSubscribed, user_id="user-42", email=ADDRESS)


def erase(*subjects: Any) -> None:
    erasing.begin([str(subject) for subject in subjects], uuid7(), by="grace")


@contextmanager
def erasing_meanwhile(*subjects: Any) -> Iterator[None]:
    """The erasure waits for the transaction of this block, and is done when that has ended."""
    with transaction.atomic():
        yield
        other = in_a_thread(lambda: erase(*subjects))
        eventually(somebody_waits)
    other.result(30)


@contextmanager
def erased_meanwhile(*subjects: Any) -> Iterator[None]:
    """The erasure is not committed before something in this block waits for it."""
    with transaction.atomic():
        erasing._begin(
            [str(subject) for subject in subjects],
            uuid7(),
            "grace",
            library.search([str(subject) for subject in subjects]),
        )
        yield
        eventually(somebody_waits)


def test_what_a_handler_has_begun_is_erased_with_the_rest() -> None:
    request = a_request()

    with erasing_meanwhile(request.data.subscription_id):
        deliver(request)

    assert AccessCode.objects.count() == 1
    assert found(ADDRESS, "user-42") == set()


def test_a_handler_that_comes_in_between_finds_the_tombstone() -> None:
    request = a_request()

    with erased_meanwhile(request.data.subscription_id):
        handled = in_a_thread(lambda: deliver(request))

    assert [outcome.result for outcome in handled.result(30)] == [Result.HANDLED]
    assert (AccessCode.objects.count(), MailIntent.objects.count()) == (0, 0)


def test_a_prepared_statement_finds_a_tombstone_that_it_waited_for() -> None:
    request = a_request()

    def many_times() -> Any:
        for _ in range(20):  # from the fifth time on, the server has a plan of it
            deliver(an_envelope(UserSubscribed))
        ready.append(True)
        eventually(lambda: bool(begun))
        return deliver(request)

    ready: list[bool] = []
    begun: list[bool] = []
    handled = in_a_thread(many_times)
    eventually(lambda: bool(ready))
    with erased_meanwhile(request.data.subscription_id):
        begun.append(True)

    handled.result(30)
    assert not AccessCode.objects.filter(pk=request.data.subscription_id).exists()


def test_a_message_is_not_set_aside_in_between() -> None:
    request = a_request()
    message = Received.read(request.to_json(), queue="q")

    with erased_meanwhile(request.data.subscription_id):
        kept = in_a_thread(lambda: keeping.keep(message, ValueError("x"), dead=True))

    kept.result(30)
    assert found(ADDRESS, "user-42") == set()


def test_a_redemption_that_has_decided_leaves_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    request = a_request()
    deliver(request)
    code = AccessCode.objects.get().code
    count = uses.count_if_unchanged

    def counted(*args: Any) -> bool:
        in_a_thread(lambda: erase(request.data.subscription_id)).result(30)
        return count(*args)

    monkeypatch.setattr(uses, "count_if_unchanged", counted)
    answer = redeeming.redeem(Question(code, reference="lovelace"), client="platform")

    assert answer.reason == "unknown"
    assert Redemption.objects.count() == 0


def test_a_redemption_whose_statement_has_begun_leaves_no_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has its snapshot, and waits before it locks the code."""
    request = a_request()
    deliver(request)
    code = AccessCode.objects.get().code
    waits = "AND (SELECT pg_advisory_xact_lock(95)) IS NOT NULL AND NOT EXISTS"
    changed = uses.IF_UNCHANGED.replace("AND NOT EXISTS", waits, 1)
    monkeypatch.setattr(uses, "IF_UNCHANGED", changed)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(95)")
        question = Question(code, reference="lovelace")
        redeemed = in_a_thread(lambda: redeeming.redeem(question, client="platform"))
        eventually(somebody_waits)
        erase(request.data.subscription_id)
        cursor.execute("SELECT pg_advisory_unlock(95)")

    assert redeemed.result(30).reason == "unknown"
    assert Redemption.objects.count() == 0


def test_grants_under_way_are_withdrawn() -> None:
    request = a_request()
    deliver(request)
    subscription_id = request.data.subscription_id

    with erasing_meanwhile(subscription_id):
        grant = grants.grant(grants.with_codes([subscription_id])[subscription_id], uuid7())
        assert grant is not None
        publish(grant)

    assert OutboxMessage.objects.filter(type="access_grant_reported").count() == 0
    assert found(ADDRESS, "user-42") == set()


def test_a_grant_that_waits_for_the_erasure_finds_no_code() -> None:
    request = a_request()
    deliver(request)
    subscription_id = request.data.subscription_id

    def granted() -> Any:
        with transaction.atomic():
            return grants.with_codes([subscription_id])

    with erased_meanwhile(subscription_id):
        waiting = in_a_thread(granted)

    assert waiting.result(30) == {}


def test_an_operator_who_waits_for_the_erasure_finds_no_code() -> None:
    request = a_request()
    deliver(request)
    subscription_id = request.data.subscription_id

    with erased_meanwhile(subscription_id):
        suspended = in_a_thread(
            lambda: operating.suspend(subscription_id, 1, by="grace", reason="lovelace")
        )

    with pytest.raises(operating.NoSuchCode):
        suspended.result(30)
    assert found("lovelace") == set()


def test_two_erasures_at_once_of_one_person_are_one() -> None:
    request = a_request()
    deliver(request)

    with erased_meanwhile(request.data.subscription_id):
        second = in_a_thread(lambda: erase(request.data.subscription_id))

    second.result(30)
    assert found(ADDRESS, "user-42") == set()
