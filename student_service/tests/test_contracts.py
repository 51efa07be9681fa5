"""The student service reads and writes events like the golden messages."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from access_codes import operating, redeeming, services, tasks
from access_codes.mails import sending
from access_codes.models import CODE_PURPOSE, AccessCode, Terms
from access_codes.redeeming import Question
from admit_one.contract import Envelope, Event
from admit_one.contract.schemas import schema_of
from admit_one.erasure import erasing
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver, golden, published
from admit_one.messaging.tombstones import Tombstone
from admit_one.sealing import cipher
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import (
    AccessChecksum,
    AccessChecksumRequested,
    AccessCodeCreated,
    AccessCodeEmailed,
    AccessCodeExpiringSoon,
    AccessCodeFailed,
    AccessCodeRedeemed,
    AccessCodeReplaced,
    AccessCodeResendAnswered,
    AccessCodeResendRequested,
    AccessCodeRestored,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessDigestRequested,
    AccessErased,
    AccessErasureRequested,
    AccessGrantReported,
    AccessGrantsDelayed,
    AccessGrantsRequested,
    AccessSuspensionChanged,
    AccessTermsApplied,
    AccessTermsChanged,
    SubscriptionCancelled,
    SubscriptionErased,
    SubscriptionErasureRequested,
    UserSubscribed,
)
from uuid_utils.compat import uuid7

from tests.mails.smtp_server import Mailbox

pytestmark = pytest.mark.django_db


def test_it_handles_the_golden_user_subscribed() -> None:
    (outcome,) = deliver(golden(UserSubscribed))

    request = json.loads(golden(UserSubscribed))
    row = AccessCode.objects.get()
    assert outcome.result == Result.HANDLED
    assert str(row.subscription_id) == request["data"]["subscription_id"]
    assert (row.user_id, row.plan) == (request["data"]["user_id"], request["data"]["plan"])
    assert row.mails.get().address == request["data"]["email"]


def test_its_reply_has_the_form_of_the_golden_access_code_created() -> None:
    deliver(golden(UserSubscribed))

    (reply,) = published()
    wire, promised = json.loads(reply.to_json()), json.loads(golden(AccessCodeCreated))
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject", "correlationid", "causationid"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, schema_of(AccessCodeCreated))


def test_it_reports_a_failed_mail_like_the_golden_access_code_undeliverable(
    mailbox: Mailbox,
) -> None:
    deliver(golden(UserSubscribed))
    mailbox.answer_rcpt["ada@example.com"] = "550 no such user"
    sending.send_due_mails(lambda: True)

    report = published()[-1]
    wire, promised = json.loads(report.to_json()), json.loads(golden(AccessCodeUndeliverable))
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject", "correlationid"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, schema_of(AccessCodeUndeliverable))


def test_it_answers_subscription_cancelled_like_the_golden_access_code_revoked() -> None:
    deliver(golden(UserSubscribed))
    deliver(golden(SubscriptionCancelled))

    wire = json.loads(published()[-1].to_json())
    promised = json.loads(golden(AccessCodeRevoked))
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject", "correlationid", "causationid"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, schema_of(AccessCodeRevoked))
    assert AccessCode.objects.get().is_revoked


def test_it_answers_access_checksum_requested_like_the_golden_access_checksum() -> None:
    promised = json.loads(golden(AccessChecksum))
    deliver(golden(UserSubscribed))
    [row] = AccessCode.objects.all()
    row.sealed_code = cipher.seal(b"7K3M-Q9TX-2WBD-H5RN", CODE_PURPOSE, row.pk)
    row.save()
    (outcome,) = deliver(golden(AccessChecksumRequested))

    wire = json.loads(published()[-1].to_json())
    assert outcome.result == Result.HANDLED
    assert wire.keys() == promised.keys()
    assert wire["data"] == promised["data"] | {"next": None}
    jsonschema.validate(wire, schema_of(AccessChecksum))


def test_it_answers_access_digest_requested_like_the_golden_access_digest() -> None:
    promised = json.loads(golden(AccessDigest))
    deliver(golden(UserSubscribed))
    [row] = AccessCode.objects.all()
    row.sealed_code = cipher.seal(b"7K3M-Q9TX-2WBD-H5RN", CODE_PURPOSE, row.pk)
    row.save()
    (outcome,) = deliver(golden(AccessDigestRequested))

    wire = json.loads(published()[-1].to_json())
    assert outcome.result == Result.HANDLED
    assert wire.keys() == promised.keys()
    assert wire["data"] == promised["data"] | {"next": None}
    jsonschema.validate(wire, schema_of(AccessDigest))


def test_it_answers_access_grants_requested_like_the_golden_access_grant_reported() -> None:
    promised = json.loads(golden(AccessGrantReported))
    deliver(golden(AccessCodeRestored))
    deliver(golden(AccessDigestRequested))
    deliver(golden(AccessGrantsRequested))
    tasks.report_grants()

    known, _, report = published()
    for reply in (known, report):
        wire = json.loads(reply.to_json())
        assert wire.keys() == promised.keys()
        assert wire["data"] == promised["data"]
    assert report.causationid == promised["causationid"]
    jsonschema.validate(wire, schema_of(AccessGrantReported))


def test_it_says_that_grants_wait_like_the_golden_access_grants_delayed(
    settings: Settings,
) -> None:
    settings.GRANTS_AN_HOUR = 0
    promised = json.loads(golden(AccessGrantsDelayed))
    deliver(golden(AccessCodeRestored))
    deliver(golden(AccessDigestRequested))
    deliver(golden(AccessGrantsRequested))
    tasks.report_grants()

    wire = json.loads(published()[-1].to_json())
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, schema_of(AccessGrantsDelayed))


def wire_like(promised: type[Event]) -> dict[str, Any]:
    """The latest message, if it has the form of the golden one of this type."""
    wire, example = json.loads(published()[-1].to_json()), json.loads(golden(promised))
    assert wire.keys() - {"causationid"} == example.keys()
    assert wire["data"].keys() == example["data"].keys()
    for name in ("source", "type", "subject"):
        assert wire[name] == example[name]
    jsonschema.validate(wire, schema_of(promised))
    data: dict[str, Any] = wire["data"]
    return data


def test_it_answers_access_terms_changed_like_the_golden_access_terms_applied() -> None:
    deliver(golden(AccessTermsChanged))

    assert wire_like(AccessTermsApplied) == json.loads(golden(AccessTermsApplied))["data"]
    assert Terms.objects.get().version == 2


def test_it_reports_a_replacement_like_the_golden_access_code_replaced() -> None:
    deliver(golden(UserSubscribed))
    operating.replace(AccessCode.objects.get().pk, 1, by="ada", reason="leaked")

    assert wire_like(AccessCodeReplaced)["generation"] == 2


def test_it_reports_a_redemption_like_the_golden_access_code_redeemed() -> None:
    deliver(golden(UserSubscribed))
    redeeming.redeem(Question(AccessCode.objects.get().code), client="platform")

    assert wire_like(AccessCodeRedeemed)["uses"] == 1


def test_it_reports_a_suspension_like_the_golden_access_suspension_changed() -> None:
    deliver(golden(UserSubscribed))
    operating.suspend(AccessCode.objects.get().pk, 1, by="ada", reason="abuse")

    assert wire_like(AccessSuspensionChanged)["suspended"] is True


def test_it_reports_a_mail_like_the_golden_access_code_emailed(mailbox: Mailbox) -> None:
    deliver(golden(UserSubscribed))
    sending.send_due_mails(lambda: True)

    assert wire_like(AccessCodeEmailed)["emailed_at"]


def test_it_reports_a_dead_request_like_the_golden_access_code_failed() -> None:
    request = Envelope.from_json(golden(UserSubscribed))
    with transaction.atomic():
        services.report_failure(request, "whatever it was")

    assert "operator" in wire_like(AccessCodeFailed)["reason"]


def test_a_dead_request_of_a_subscription_with_a_code_is_not_reported() -> None:
    deliver(golden(UserSubscribed))
    before = len(published())
    with transaction.atomic():
        services.report_failure(Envelope.from_json(golden(UserSubscribed)), "for another user")

    assert len(published()) == before


def test_it_answers_access_code_resend_requested_like_the_golden_answer() -> None:
    deliver(golden(UserSubscribed))
    deliver(golden(AccessCodeResendRequested))

    promised = json.loads(golden(AccessCodeResendAnswered))["data"]
    assert wire_like(AccessCodeResendAnswered)["version"] == promised["version"]


def test_it_tells_of_a_near_end_like_the_golden_access_code_expiring_soon() -> None:
    deliver(golden(UserSubscribed))
    soon = timezone.now() + timedelta(days=1)
    Terms.objects.create(pk=AccessCode.objects.get().pk, version=1, valid_until=soon)
    AccessCode.objects.update(issued_at=soon - timedelta(days=30))
    tasks.remind_expiring()

    assert golden(AccessCodeExpiringSoon)
    assert wire_like(AccessCodeExpiringSoon)["valid_until"]


def the_golden_code() -> str:
    """A code for the subscription that the golden messages are about."""
    about: str = json.loads(golden(SubscriptionErasureRequested))["subject"]
    deliver(an_envelope(UserSubscribed, subscription_id=about))
    return about


def test_it_erases_as_the_golden_subscription_erasure_requested_says() -> None:
    the_golden_code()
    deliver(golden(SubscriptionErasureRequested))
    erasing.erase_due()

    assert AccessCode.objects.get().sealed_code is None
    assert golden(AccessErased)
    assert wire_like(AccessErased)["erased_at"]


def test_it_asks_for_an_erasure_until_the_golden_subscription_erased_comes() -> None:
    erasing.begin([the_golden_code()], uuid7(), by="ada")
    assert golden(AccessErasureRequested)
    assert wire_like(AccessErasureRequested)["erasure_id"]

    deliver(golden(SubscriptionErased))

    assert Tombstone.objects.get().answered_at is not None
