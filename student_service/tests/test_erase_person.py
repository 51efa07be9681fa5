"""A person is erased on this side: the code lets in nobody, and nothing says whose it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from access_codes import operating
from access_codes.mails import by_hand, reports, sending
from access_codes.mails.connection import Connection, Given
from access_codes.models import AccessCode, MailIntent, Redemption, ReplacedCode, Revocation
from access_codes.reconciliation import reporting
from admit_one.acts.models import Act
from admit_one.erasure import erasing
from admit_one.erasure.testing import everything, found, not_erased
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.messaging.tombstones import Tombstone
from admit_one.trust.keys import WireKey
from anymail.signals import AnymailTrackingEvent
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings
from shared_contracts.events import (
    AccessCodeResendRequested,
    AccessCodeRestored,
    AccessErased,
    SubscriptionErasureRequested,
    UserSubscribed,
)

from tests.api import Api
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always
from tests.reconciliation import steps

pytestmark = pytest.mark.django_db

NAMES = ("user-42", "ada@example.com", "lovelace")
"""What says who it is, beside the codes: in each text that people write stands a name."""

NOTHING_OF_A_PERSON = {
    "web.ApiKey", "web.RateCount", "webhooks.Endpoint",  # of clients, which are programs
    "sealing.KeyCanary", "sealing.KeyHolder",  # of keys and processes
    "access_codes.AnsweredRun", "access_codes.HourOfGrants",  # windows and counts
}  # fmt: skip


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("erase_person", *arguments, stdout=out, **options)
    return out.getvalue()


def erase(subscription_id: UUID) -> str:
    return run("begin", "--subscription", str(subscription_id), "--active", "--unknown")


def a_person(platform: Api) -> tuple[UUID, tuple[str, ...]]:
    """A code about which every table of this side has something; its names and codes."""
    request = an_envelope(UserSubscribed, user_id="user-42", email="ada@example.com")
    deliver(request)
    subscription_id = request.data.subscription_id
    first = AccessCode.objects.get().code
    platform.redeem(first, reference="lovelace", key="1")
    operating.replace(subscription_id, 1, by="grace", reason="lovelace lost it")
    deliver(
        an_envelope(
            AccessCodeResendRequested, subscription_id=subscription_id, email="ada@example.com"
        )
    )
    keeping.keep(Received.read(request.to_json(), queue="q"), ValueError("lovelace"), dead=True)
    run_ = steps.a_run(since=request.data.occurred_at - timedelta(1), until=timezone.now())
    steps.ask(run_, [subscription_id])
    MailIntent.objects.update(last_error="lovelace has moved")
    return subscription_id, (*NAMES, first, AccessCode.objects.get().code)


def test_every_model_is_erased_or_holds_nothing_of_a_person() -> None:
    others = {model._meta.label for model in not_erased()}

    assert others - NOTHING_OF_A_PERSON == set()


def test_nothing_of_a_person_is_left(platform: Api) -> None:
    subscription_id, names = a_person(platform)
    before = found(*names)

    run("begin", "--email", "ada@example.com", "--any-client", "--active")

    assert found(*names) == set()
    assert before >= {
        "access_codes_accesscode.sealed_code", "access_codes_mailintent.recipient",
        "access_codes_mailintent.last_error", "access_codes_resend.recipient",
        "access_codes_redemption.reference", "web_idempotencykey.body",
        "messaging_outbox.body", "messaging_set_aside.body", "messaging_set_aside.reason",
        "acts_act.reason",
    }  # fmt: skip
    row = AccessCode.objects.get()
    assert (row.pk, row.uses, row.plan) == (subscription_id, 1, "gold")
    assert Redemption.objects.get().client == "platform"
    assert Act.objects.get(action="replace").by == "grace"
    assert ReplacedCode.objects.count() == 0


def test_an_erased_code_is_unknown(platform: Api) -> None:
    subscription_id, (*_, first, second) = a_person(platform)

    erase(subscription_id)

    assert [platform.validate(code)["reason"] for code in (first, second)] == ["unknown"] * 2
    assert platform.redeem(second)["reason"] == "unknown"
    assert platform.get(f"/v1/access-codes/{subscription_id}.2").status_code == 404
    assert platform.get("/v1/access-codes").json()["results"] == []
    assert platform.act("suspend", f"{subscription_id}.2").status_code == 404


def test_an_active_code_is_refused_without_the_flag() -> None:
    deliver(an_envelope(UserSubscribed, user_id="user-42"))

    with pytest.raises(CommandError, match="1 of 1 subscriptions are active"):
        run("begin", "--user-id", "user-42", "--any-client")

    assert Tombstone.objects.count() == 0


def test_late_requests_issue_mail_and_restore_nothing(platform: Api) -> None:
    subscription_id, names = a_person(platform)
    erase(subscription_id)
    before = set(everything())
    about = {"subscription_id": subscription_id, "email": "ada@example.com"}

    outcomes = deliver(
        an_envelope(UserSubscribed, user_id="user-42", **about),
        an_envelope(AccessCodeResendRequested, version=2**40, **about),
        an_envelope(AccessCodeRestored, user_id="user-42", access_code=names[-1], **about),
    )

    assert [outcome.result for outcome in outcomes] == [Result.HANDLED] * 3
    changed = {where.partition(".")[0] for where, _ in set(everything()) - before}
    assert changed == {"messaging_inbox"}
    assert found(*names) == set()


def test_a_code_that_was_never_issued_is_never_issued() -> None:
    request = an_envelope(UserSubscribed)
    erase(request.data.subscription_id)

    deliver(request)

    assert (AccessCode.objects.count(), MailIntent.objects.count()) == (0, 0)


def test_a_grant_that_waited_is_not_reported(platform: Api) -> None:
    subscription_id, _ = a_person(platform)

    erase(subscription_id)

    assert not reporting.report_due()
    assert {m.data.type for m in published()} == {"access_digest", "access_erasure_requested"}


def test_a_mail_that_waits_is_not_sent(mailbox: Mailbox) -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)

    erase(request.data.subscription_id)
    sending.send_due_mails(always)

    assert mailbox.mails == []
    assert MailIntent.objects.get().state == MailIntent.State.WITHDRAWN


def test_a_worker_in_the_middle_of_a_mail_writes_nothing_back(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = an_envelope(UserSubscribed, email="ada@example.com")
    deliver(request)
    between(monkeypatch, lambda: erase(request.data.subscription_id))

    sending.send_due_mails(always)

    assert found("ada@example.com") == set()
    assert MailIntent.objects.get().state == MailIntent.State.WITHDRAWN
    assert [m.data.type for m in published()] == ["access_erasure_requested"]


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Has `act` done when the worker has claimed its mail, and the server not taken it yet."""
    give = Connection.give

    def claimed(connection: Connection, given: Given) -> None:
        act()
        give(connection, given)

    monkeypatch.setattr(Connection, "give", claimed)


def test_a_request_of_the_other_side_is_done_and_answered(platform: Api) -> None:
    subscription_id, names = a_person(platform)
    asked = an_envelope(SubscriptionErasureRequested, subscription_id=subscription_id)

    deliver(asked)
    assert erasing.erase_due()

    assert found(*names) == set()
    (answer,) = about_erasures()
    assert isinstance(answer.data, AccessErased)
    assert (answer.data.erasure_id, answer.causationid) == (asked.data.erasure_id, asked.id)
    assert Revocation.objects.filter(pk=subscription_id).exists()


def about_erasures() -> list[Any]:
    """What is published about erasures; the rest may be blank."""
    OutboxMessage.objects.exclude(type__in=["access_erased", "access_erasure_requested"]).delete()
    return published()


def test_a_forged_request_erases_nothing(platform: Api, settings: Settings) -> None:
    subscription_id, names = a_person(platform)
    settings.MESSAGING = {
        **settings.MESSAGING,
        "WIRE_KEYS": {"s1": bytes([2]) * 32},
        "PEER_KEYS": {"payment_service": {"p1": WireKey(bytes([1]) * 32).public}},
        "WIRE_KEYS_OPTIONAL": False,
    }
    (outcome,) = deliver(an_envelope(SubscriptionErasureRequested, subscription_id=subscription_id))

    assert outcome.result == Result.REFUSED
    assert not erasing.erase_due()
    assert found(*names) != set()


def test_why_says_that_it_was_erased(platform: Api) -> None:
    subscription_id, names = a_person(platform)
    erase(subscription_id)
    out = io.StringIO()
    with suppress(SystemExit):  # the other side has not answered yet
        call_command("why", str(subscription_id), stdout=out)

    assert "its person was erased here" in out.getvalue()
    assert not any(name in out.getvalue() for name in names)


def test_an_erased_mail_cannot_be_sent_again(platform: Api) -> None:
    subscription_id, _ = a_person(platform)
    MailIntent.objects.update(state=MailIntent.State.FAILED)
    erase(subscription_id)

    with pytest.raises(by_hand.NotPossible):
        by_hand.resend(MailIntent.objects.all()[0].pk, by="grace", reason="lovelace")

    assert found("lovelace") == set()


def test_what_is_left_after_an_erasure_can_be_rotated(platform: Api, settings: Settings) -> None:
    subscription_id, _ = a_person(platform)
    erase(subscription_id)
    settings.SEALING_KEYS = {"k9": b"9" * 32, **settings.SEALING_KEYS}
    out = io.StringIO()
    call_command("rotate_keys", stdout=out)

    assert "test may be removed from SEALING_KEYS" in out.getvalue()


@pytest.mark.parametrize("key", [None, b"9" * 32], ids=["same key", "while the key changes"])
def test_a_late_report_of_a_provider_finds_no_mail(
    platform: Api, settings: Settings, key: bytes | None
) -> None:
    subscription_id, _ = a_person(platform)
    MailIntent.objects.update(state=MailIntent.State.SENT, provider_id="lovelace-7")
    mail = MailIntent.objects.all()[0]
    erase(subscription_id)
    before = set(everything())
    settings.CODE_LOOKUP_KEY = key or settings.CODE_LOOKUP_KEY

    reports.record(
        [AnymailTrackingEvent(event_type="bounced", message_id=name, description="lovelace")
         for name in (mail.message_id, "lovelace-7")]
    )  # fmt: skip

    assert set(everything()) == before
