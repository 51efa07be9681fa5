"""The payment service reads and writes events like the golden messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from uuid import UUID

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.erasure import erasing
from admit_one.messaging.testing import deliver, published
from admit_one.messaging.tombstones import Tombstone
from admit_one.sealing import cipher
from django.utils import timezone
from jsonschema import Draft202012Validator
from shared_contracts.events import AccessDigest, UserSubscribed
from subscriptions import lifecycle, persons, resends
from subscriptions.models import (
    CODE_PURPOSE,
    Mailed,
    OwnWords,
    Paid,
    ReconciliationRun,
    Subscription,
    TermsOf,
)
from subscriptions.reconciliation import runs
from subscriptions.serializers import NewSubscription
from uuid_utils.compat import uuid7

from tests.factories import a_code_for, a_subscription
from tests.reconciliation.both_sides import end_break

pytestmark = pytest.mark.django_db
SHARED = resources.files("shared_contracts")


def test_the_golden_access_code_is_stored() -> None:
    golden = SHARED.joinpath("golden/access_code_created.json").read_bytes()
    expected = Envelope.from_json(golden).data
    subscription = a_subscription()
    Subscription.objects.filter(pk=subscription.pk).update(id=expected.subscription_id)
    deliver(golden)

    assert Subscription.objects.get().code == expected.access_code
    assert Subscription.objects.get().code_issued_at == expected.issued_at


def test_the_golden_mail_failure_is_recorded() -> None:
    golden = SHARED.joinpath("golden/access_code_undeliverable.json").read_bytes()
    expected = Envelope.from_json(golden).data
    subscription = a_subscription()
    Subscription.objects.filter(pk=subscription.pk).update(id=expected.subscription_id)
    deliver(golden)

    noted = Subscription.objects.get()
    assert (noted.mail_failure, noted.mail_failed_at) == (expected.reason, expected.failed_at)


def test_a_cancellation_has_the_form_of_the_golden_subscription_cancelled() -> None:
    promised = json.loads(golden("subscription_cancelled"))
    subscription = a_subscription()
    lifecycle.cancel(client="shop", subscription_id=subscription.id)

    written = json.loads(published()[-1].to_json())
    assert written.keys() == promised.keys()
    assert written["data"].keys() == promised["data"].keys()
    assert (written["type"], written["source"]) == (promised["type"], promised["source"])


def test_the_golden_access_code_revoked_confirms_a_cancellation() -> None:
    confirmation = Envelope.from_json(golden("access_code_revoked")).data
    subscription = a_subscription()
    lifecycle.cancel(client="shop", subscription_id=subscription.id)
    Subscription.objects.update(id=confirmation.subscription_id)
    deliver(golden("access_code_revoked"))

    assert Subscription.objects.get().code_revoked_at == confirmation.revoked_at


def test_what_is_published_has_the_form_of_the_golden_event() -> None:
    golden = json.loads(SHARED.joinpath("golden/user_subscribed.json").read_bytes())
    a_subscription()

    [request] = published()
    written = json.loads(request.to_json())
    optional = {"causationid", "traceparent"}
    assert written.keys() - optional == golden.keys() - optional
    assert written["data"].keys() == golden["data"].keys()
    assert (written["type"], written["source"]) == (golden["type"], golden["source"])


def test_api_and_events_agree_on_what_was_paid() -> None:
    paid, terms = set(Paid.__annotations__), set(TermsOf.__annotations__)
    own_words = set(OwnWords.__annotations__)
    mailed = set(Mailed.__annotations__)
    ours = {"subscription_id", "occurred_at", "test", "version", "suspended"}

    assert set(NewSubscription().fields) == paid | terms | mailed | own_words
    assert UserSubscribed.model_fields.keys() == paid | terms | mailed | ours


def test_what_is_published_fits_the_committed_schema() -> None:
    schema = json.loads(SHARED.joinpath("schemas/user_subscribed.schema.json").read_bytes())
    a_subscription()

    [request] = published()
    Draft202012Validator(schema).validate(json.loads(request.to_json()))


GOLDEN_RUN = "019b81c4-5e10-7f21-8b42-9a3c4d5e6f10"


def golden(event_type: str) -> bytes:
    return SHARED.joinpath(f"golden/{event_type}.json").read_bytes()


def the_golden_run(**changes: Any) -> ReconciliationRun:
    """A run that is waiting for the page of the golden digest."""
    requested = Envelope.from_json(golden("access_digest_requested")).data
    return ReconciliationRun.objects.create(
        id=GOLDEN_RUN,
        since=requested.since,
        until=requested.until,
        after_paid_at=requested.after.occurred_at,
        after_id=requested.after.subscription_id,
        **changes,
    )


def test_the_golden_checksum_agrees_and_the_next_page_is_requested() -> None:
    digest = Envelope.from_json(golden("access_digest")).data
    code = Envelope.from_json(golden("access_code_created")).data.access_code
    subscription_id = digest.entries[0].subscription_id
    a_subscription()
    Subscription.objects.update(
        id=subscription_id,
        created_at=digest.next.occurred_at,
        access_code=cipher.seal(code.encode(), CODE_PURPOSE, subscription_id),
    )
    run = the_golden_run()
    deliver(golden("access_checksum"))
    end_break()

    promised = json.loads(golden("access_checksum_requested"))
    written = json.loads(published()[-1].to_json())
    assert written.keys() == promised.keys()
    assert written["data"] == promised["data"] | {
        "after": json.loads(golden("access_checksum"))["data"]["next"]
    }
    run.refresh_from_db()
    assert run.compared == 1


def test_the_golden_digest_is_compared_and_the_next_page_requested() -> None:
    digest = Envelope.from_json(golden("access_digest")).data
    run = the_golden_run(by_entry=True)
    deliver(golden("access_digest"))
    end_break()

    [request] = published()
    promised = json.loads(golden("access_digest_requested"))
    written = json.loads(request.to_json())
    assert written.keys() == promised.keys()
    assert written["data"] == promised["data"] | {
        "after": json.loads(golden("access_digest"))["data"]["next"]
    }
    assert [d.subscription_id for d in run.drifts.all()] == [digest.entries[0].subscription_id]


def test_the_golden_grant_is_requested_and_recorded() -> None:
    event = Envelope.from_json(golden("access_grant_reported")).data
    deliver_to = the_golden_run(repair=True)
    deliver(golden("access_digest"))
    request = next(m for m in published() if m.type == "access_grants_requested")
    deliver(golden("access_grant_reported"))

    subscription = Subscription.objects.get()
    promised = json.loads(golden("access_grants_requested"))
    assert json.loads(request.to_json())["data"] == promised["data"]
    assert (subscription.id, subscription.code) == (event.subscription_id, event.access_code)
    assert deliver_to.drifts.get().state == "repaired"


def test_the_golden_delay_of_grants_is_noted() -> None:
    event = Envelope.from_json(golden("access_grants_delayed")).data
    run = ReconciliationRun.objects.create(
        id=event.run_id, since=event.until - timedelta(days=1), until=event.until
    )
    deliver(golden("access_grants_delayed"))
    run.refresh_from_db()

    assert run.grants_wait_until == event.until


def test_a_lost_code_is_published_like_the_golden_access_code_restored() -> None:
    promised = json.loads(golden("access_code_restored"))
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    long_ago = datetime(2026, 1, 2, tzinfo=UTC)
    Subscription.objects.update(created_at=long_ago, code_issued_at=long_ago)
    run = runs.start(since=long_ago, repair=True)
    request = published()[-1]
    deliver(request.follow(AccessDigest(run_id=run.id, entries=())))

    written = json.loads(published()[-1].to_json())
    assert written["type"] == "access_code_restored"
    assert written.keys() == promised.keys()
    assert written["data"].keys() == promised["data"].keys()


def the_golden_subscription(**changes: Any) -> UUID:
    """A subscription with the id that the golden messages are about."""
    about = UUID(json.loads(golden("access_code_created"))["subject"])
    a_subscription()
    Subscription.objects.update(id=about, **changes)
    return about


def test_a_renewal_has_the_form_of_the_golden_access_terms_changed() -> None:
    promised = json.loads(golden("access_terms_changed"))
    about = the_golden_subscription(access_code=b"sealed", past_due_at=timezone.now())
    Subscription.objects.update(suspended_at=timezone.now())
    lifecycle.renew(client="shop", subscription_id=about, valid_until=None)

    written = json.loads(published()[-1].to_json())
    schema = json.loads(SHARED.joinpath("schemas/access_terms_changed.schema.json").read_bytes())
    assert written["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject"):
        assert written[name] == promised[name]
    Draft202012Validator(schema).validate(written)


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("access_terms_applied", {"terms_applied": 2}),
        ("access_code_replaced", {"code_generation": 2}),
        ("access_code_redeemed", {"uses_made": 1}),
        ("access_code_emailed", {"emailed_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}),
        ("access_code_failed", {"failed_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}),
        ("access_suspension_changed", {"suspension_version": 1, "suspended_by_operator": True}),
        (
            "access_code_expiring_soon",
            {"expiring_until": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
        ),
        ("access_code_resend_answered", {"resend_answered": 1, "resend_refused": ""}),
    ],
)
def test_the_golden_reports_of_a_code_are_recorded(
    event_type: str, expected: dict[str, object]
) -> None:
    the_golden_subscription()
    deliver(golden(event_type))

    row = Subscription.objects.get()
    assert {name: getattr(row, name) for name in expected} == expected


def test_a_resend_has_the_form_of_the_golden_access_code_resend_requested() -> None:
    promised = json.loads(golden("access_code_resend_requested"))
    resends.request(client="shop", subscription_id=the_golden_subscription())

    written = json.loads(published()[-1].to_json())
    assert written["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject"):
        assert written[name] == promised[name]


def test_it_erases_as_the_golden_access_erasure_requested_says() -> None:
    the_golden_subscription()
    deliver(golden("access_erasure_requested"))
    erasing.erase_due()

    assert Subscription.objects.get().user_id == persons.USER_ID
    assert_like("subscription_erased", published()[-1])


def test_it_asks_for_an_erasure_until_the_golden_access_erased_comes() -> None:
    subscription = str(the_golden_subscription())
    erasing.begin([subscription], uuid7(), by="ada")
    assert_like("subscription_erasure_requested", published()[-1])

    deliver(golden("access_erased"))

    assert Tombstone.objects.get(subject=subscription).answered_at is not None


def assert_like(event_type: str, message: Envelope[Any]) -> None:
    promised, written = json.loads(golden(event_type)), json.loads(message.to_json())
    assert written["data"].keys() == promised["data"].keys()
    assert (written["type"], written["source"]) == (promised["type"], promised["source"])
