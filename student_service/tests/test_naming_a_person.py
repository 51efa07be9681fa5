"""Only what is certainly one person's is exported or erased."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID, uuid4

import pytest
from access_codes import operating, persons
from access_codes.models import AccessCode, Revocation, Terms
from admit_one.erasure.definition import Found, Person
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.tombstones import Tombstone
from django.core.management import CommandError, call_command
from django.utils import timezone
from shared_contracts.events import (
    AccessCodeResendRequested,
    SubscriptionCancelled,
    UserSubscribed,
)

from tests.test_erase_person import run

pytestmark = pytest.mark.django_db


def a_code(email: str, **paid: Any) -> UUID:
    request = an_envelope(UserSubscribed, email=email, **paid)
    deliver(request)
    return request.data.subscription_id


def corrected(subscription: UUID, email: str) -> None:
    deliver(an_envelope(AccessCodeResendRequested, subscription_id=subscription, email=email))


def find(*emails: str) -> Found:
    return persons.find(Person(emails=emails))


def test_a_mailbox_that_is_counted_as_the_same_is_not_the_same_person() -> None:
    ada, bob = a_code("school+ada@example.com"), a_code("school+bob@example.com")

    assert find("school+bob@example.com").subjects == {str(bob): ""}
    assert find("School+Ada@Example.com").subjects == {str(ada): ""}
    assert find("school+bob@example.com").uncertain == {}


def test_who_once_got_the_mail_of_another_does_not_get_erased_with_them() -> None:
    subscription = a_code("grace@example.com")
    corrected(subscription, "ada@example.com")

    assert find("grace@example.com").subjects == {}
    assert find("grace@example.com").uncertain.keys() == {str(subscription)}
    assert find("ada@example.com").subjects == {str(subscription): ""}


def test_what_was_mailed_there_once_is_named_and_not_taken() -> None:
    ours, other = a_code("grace@example.com"), a_code("grace@example.com")
    corrected(other, "ada@example.com")

    shown = run("begin", "--email", "grace@example.com", "--any-client", "--active")

    assert f"{other}  not taken, because it was mailed there before" in shown
    assert list(Tombstone.objects.values_list("pk", flat=True)) == [str(ours)]


def test_a_domain_is_found_as_it_is_written_and_as_it_is_sent() -> None:
    subscription = a_code("ada@xn--bcher-kva.example")

    assert find("ada@bücher.example").subjects == {str(subscription): ""}


@pytest.mark.parametrize("command", [("erase_person", "begin"), ("export_person",)])
@pytest.mark.parametrize("name", [("--user-id", "user-42"), ("--email", "ada@example.com")])
def test_users_and_addresses_are_of_a_client_that_this_side_does_not_know(
    command: tuple[str, ...], name: tuple[str, str]
) -> None:
    a_code("ada@example.com", user_id="user-42")

    with pytest.raises(CommandError, match="begin where clients are known"):
        call_command(*command, *name, stdout=io.StringIO())


def revoked_by_an_operator() -> UUID:
    subscription = a_code("ada@example.com")
    operating.revoke(subscription, 1, by="grace", reason="lost")
    return subscription


def expired_here() -> UUID:
    subscription = a_code("ada@example.com", version=1, valid_until=timezone.now())
    assert Terms.objects.exists()
    return subscription


@pytest.mark.parametrize(
    "may_be_paid",
    [uuid4, lambda: a_code("ada@example.com"), revoked_by_an_operator, expired_here],
    ids=["its code has not come", "works", "revoked by an operator", "expired here"],
)
def test_what_may_be_paid_is_refused_without_the_flag(may_be_paid: Any) -> None:
    subscription = may_be_paid()

    with pytest.raises(CommandError, match="1 of 1 subscriptions are active, as far as is known"):
        run("begin", "--subscription", str(subscription), "--unknown")

    assert Tombstone.objects.count() == 0


def test_what_the_payment_side_has_cancelled_is_not_active() -> None:
    subscription = a_code("ada@example.com")
    deliver(an_envelope(SubscriptionCancelled, subscription_id=subscription))

    run("begin", "--subscription", str(subscription))

    assert Revocation.objects.get().cancelled_at is not None
    assert AccessCode.objects.kept().count() == 0


def test_an_id_about_which_nothing_is_kept_is_refused() -> None:
    with pytest.raises(CommandError, match="nothing is kept here about"):
        run("begin", "--subscription", str(uuid4()), "--active")

    assert Tombstone.objects.count() == 0


def test_nothing_says_in_which_language_it_was_mailed() -> None:
    subscription = a_code("ada@example.com", language="de-CH")

    run("begin", "--subscription", str(subscription), "--active")

    assert AccessCode.objects.get().language is None
