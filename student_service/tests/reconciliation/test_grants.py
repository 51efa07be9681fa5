"""The student side reports all it knows about requested subscriptions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.models import AccessCode, MailIntent
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.sealing import cipher
from shared_contracts.events import (
    AccessCodeRestored,
    AccessGrantReported,
    AccessGrantsRequested,
    SubscriptionCancelled,
)
from uuid_utils.compat import uuid7

from tests.reconciliation.steps import (
    CODE,
    START,
    a_run,
    ask,
    digests,
    issued,
    make_unsealable,
    report,
    reported,
)

pytestmark = pytest.mark.django_db


def test_a_revoked_code_is_reported_with_the_time_of_its_cancellation() -> None:
    kept, revoked = issued(2)
    at = START + timedelta(days=30)
    deliver(an_envelope(SubscriptionCancelled, subscription_id=revoked, cancelled_at=at))
    run = uuid7()
    [page] = digests(run_id=run)
    ask(run, [kept, revoked])
    report()

    assert {e.subscription_id: e.state for e in page.entries} == {
        kept: "active",
        revoked: "revoked",
    }
    assert {g.subscription_id: g.cancelled_at for g in reported()} == {kept: None, revoked: at}


def test_a_known_subscription_is_reported_completely_and_an_unknown_one_is_not() -> None:
    [subscription] = issued(1)
    run, unknown = a_run(), uuid7()
    request = an_envelope(
        AccessGrantsRequested, run_id=run, subscription_ids=[subscription, unknown]
    )
    deliver(request)
    report()

    row, reply = AccessCode.objects.get(), published()[-1]
    assert reported() == [
        AccessGrantReported(
            subscription_id=subscription,
            run_id=run,
            user_id="user-42",
            email="ada@example.com",
            plan="gold",
            amount=4900,
            currency="EUR",
            occurred_at=START,
            access_code=row.code,
            issued_at=row.issued_at,
        )
    ]
    assert (reply.subject, reply.correlationid, reply.causationid) == (
        str(subscription),
        str(run),
        request.id,
    )


def test_unreadable_codes_are_logged_and_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unreadable, without_address, fine = issued(3)
    make_unsealable(unreadable)
    MailIntent.objects.filter(access_code=without_address).update(
        recipient=cipher.seal(b"", "outbox", "1")
    )
    run = a_run()
    ask(run, [unreadable, without_address, fine])
    deliver(an_envelope(AccessCodeRestored, subscription_id=unreadable, access_code=CODE, amount=1))
    report()

    assert [grant.subscription_id for grant in reported()] == [fine]
    assert AccessCode.objects.get(pk=unreadable).amount == 4900
    assert f"code of {unreadable} cannot be reported" in caplog.text
    assert f"code of {without_address} cannot be reported" in caplog.text
