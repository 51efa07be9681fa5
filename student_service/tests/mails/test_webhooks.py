"""What providers report of mails, by recorded requests that are signed as they sign them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from access_codes.mails import by_hand, sending
from access_codes.models import AccessCode, MailIntent
from access_codes.views import mail_webhooks
from admit_one.acts.models import Act
from admit_one.messaging.testing import published
from django.test import Client
from django.urls import include, path, set_urlconf
from django.utils import timezone
from pytest_django import Settings

from student_service import urls as service_urls
from tests.api import Api
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, make_due, subscribe, undeliverable

pytestmark = pytest.mark.django_db
State, Reported = MailIntent.State, MailIntent.Reported

LOGIN = "provider:a-long-secret-of-webhooks"
SIGNING_KEY = "a-signing-key-of-mailgun"
NOBODY = UUID("019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10")


@pytest.fixture(autouse=True)
def configured(settings: Settings) -> None:
    settings.MAIL_WEBHOOKS = ["mailgun", "postmark"]
    settings.ANYMAIL = {
        "WEBHOOK_SECRET": LOGIN,
        "MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY,
        "MAILGUN_API_KEY": "another-key",
    }
    urls = ModuleType("urls_with_webhooks")
    urls.urlpatterns = [*mail_webhooks.addresses(), path("", include(service_urls))]  # type: ignore[attr-defined]
    for name in ("handler400", "handler403", "handler404", "handler500"):
        setattr(urls, name, getattr(service_urls, name))
    settings.ROOT_URLCONF = urls
    set_urlconf(None)


def a_login(login: str = LOGIN) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def tell(provider: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    return Client().generic(
        "POST",
        f"/v1/webhooks/mail/{provider}",
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        "application/json",
        headers=a_login() if headers is None else headers,
    )


# As Postmark sends them (postmarkapp.com/developer/webhooks/bounce-webhook and its neighbours).


def postmark(intent: MailIntent, kind: str = "HardBounce", **changes: Any) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "ID": 4323372036854775807,
        "Type": kind,
        "TypeCode": 1,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"mail": intent.message_id},
        "Description": "The server was unable to deliver your message.",
        "Details": "smtp;550 5.1.1 <ada@example.com>: no such user",
        "Email": "ada@example.com",
        "BouncedAt": "2026-11-28T14:00:00Z",
        **changes,
    }


def postmark_delivery(intent: MailIntent) -> dict[str, Any]:
    return {
        "RecordType": "Delivery",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Recipient": "ada@example.com",
        "DeliveredAt": "2026-11-28T14:00:00Z",
        "Details": "250 2.0.0 OK",
        "Metadata": {"mail": intent.message_id},
    }


def postmark_complaint(intent: MailIntent) -> dict[str, Any]:
    return postmark(intent, "SpamComplaint", RecordType="SpamComplaint")


# As Mailgun sends them (documentation.mailgun.com, webhooks), signed as it signs them.


def mailgun(intent: MailIntent, event: str = "failed", **changes: Any) -> dict[str, Any]:
    timestamp, token = "1790000000", "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6a1"
    signature = hmac.new(SIGNING_KEY.encode(), f"{timestamp}{token}".encode(), hashlib.sha256)
    return {
        "signature": {"timestamp": timestamp, "token": token, "signature": signature.hexdigest()},
        "event-data": {
            "event": event,
            "severity": "permanent",
            "reason": "bounce",
            "timestamp": 1790000000.5,
            "id": "G9Bn5sl1TC6nu79C8C0bwg",
            "recipient": "ada@example.com",
            "user-variables": {"mail": intent.message_id},
            "message": {"headers": {"message-id": intent.message_id.strip("<>")}},
            "delivery-status": {"code": 550, "message": "5.1.1 no such user", "description": ""},
            **changes,
        },
    }


HARD = [("postmark", postmark), ("mailgun", mailgun)]
COMPLAINTS = [
    ("postmark", postmark_complaint),
    ("mailgun", lambda intent: mailgun(intent, "complained")),
]
DELIVERIES = [
    ("postmark", postmark_delivery),
    ("mailgun", lambda intent: mailgun(intent, "delivered")),
]
SOFT = [
    ("postmark", lambda intent: postmark(intent, "SoftBounce")),
    ("postmark", lambda intent: postmark(intent, "Transient")),
    ("mailgun", lambda intent: mailgun(intent, severity="temporary")),
]


@pytest.fixture
def sent(mailbox: Mailbox) -> MailIntent:
    [intent] = subscribe("ada@example.com")
    sending.send_due_mails(always)
    intent.refresh_from_db()
    assert intent.state == State.SENT
    return intent


@pytest.mark.parametrize(("provider", "recorded"), HARD)
def test_a_hard_bounce_is_reported_to_the_payment_side(
    sent: MailIntent, provider: str, recorded: Any
) -> None:
    assert tell(provider, recorded(sent)).status_code == 204

    sent.refresh_from_db()
    assert (sent.state, sent.reported) == (State.FAILED, Reported.BOUNCED)
    [report] = undeliverable()
    assert report.subscription_id == sent.access_code_id
    assert "5.1.1" in report.reason
    assert "ada@example.com" not in report.reason


@pytest.mark.parametrize(("provider", "recorded"), HARD + COMPLAINTS + DELIVERIES)
def test_a_report_that_comes_twice_is_one(sent: MailIntent, provider: str, recorded: Any) -> None:
    tell(provider, recorded(sent))
    first = MailIntent.objects.values().get()
    reports = len(published())

    assert tell(provider, recorded(sent)).status_code == 204

    assert MailIntent.objects.values().get() == first
    assert len(published()) == reports


@pytest.mark.parametrize(("provider", "delivered"), DELIVERIES)
def test_a_delivery_is_recorded_without_an_alarm(
    sent: MailIntent, provider: str, delivered: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    tell(provider, delivered(sent))

    sent.refresh_from_db()
    assert (sent.state, sent.reported) == (State.SENT, Reported.DELIVERED)
    assert undeliverable() == []
    assert [r for r in caplog.records if r.name.startswith("access_codes")] == []


@pytest.mark.parametrize(("provider", "soft"), SOFT)
def test_a_soft_bounce_is_recorded_without_an_alarm(
    sent: MailIntent, provider: str, soft: Any
) -> None:
    tell(provider, soft(sent))

    sent.refresh_from_db()
    assert (sent.state, sent.reported) == (State.SENT, Reported.DEFERRED)
    assert undeliverable() == []


def test_reports_in_any_order_end_alike(sent: MailIntent) -> None:
    for recorded in (postmark_complaint, postmark, postmark_delivery):
        tell("postmark", recorded(sent))
    tell("postmark", postmark(sent, "Transient"))

    sent.refresh_from_db()
    assert sent.reported == Reported.COMPLAINED


def test_a_late_delivery_does_not_undo_a_bounce(sent: MailIntent) -> None:
    tell("postmark", postmark(sent))
    tell("postmark", postmark_delivery(sent))

    sent.refresh_from_db()
    assert (sent.state, sent.reported) == (State.FAILED, Reported.BOUNCED)


DROPPED = [
    *(
        ("postmark", partial(postmark, kind=kind))
        for kind in ("Blocked", "DMARCPolicy", "VirusNotification")
    ),
    *(("mailgun", partial(mailgun, reason=reason)) for reason in ("old", "generic", "espblock")),
]


@pytest.mark.parametrize(("provider", "dropped"), DROPPED)
def test_a_mail_that_was_dropped_is_reported_and_stops_no_other(
    sent: MailIntent, provider: str, dropped: Any
) -> None:
    tell(provider, dropped(sent))

    sent.refresh_from_db()
    assert (sent.state, sent.reported) == (State.FAILED, Reported.DROPPED)
    assert len(undeliverable()) == 1
    assert not sent.has_stop


@pytest.mark.parametrize(
    ("why", "reported"),
    [
        ("SpamComplaint", Reported.COMPLAINED),
        ("HardBounce", Reported.BOUNCED),
        ("ManualSuppression", Reported.NOTHING),
    ],
)
def test_a_mailbox_on_postmarks_own_list_is_stopped_unless_a_person_put_it_there(
    sent: MailIntent, why: str, reported: str
) -> None:
    change = postmark(sent, RecordType="SubscriptionChange", SuppressionReason=why)

    tell("postmark", change | {"SuppressSending": True, "ChangedAt": "2026-11-28T14:00:00Z"})

    sent.refresh_from_db()
    assert sent.reported == reported


def test_a_mailbox_that_complained_to_mailgun_before_is_stopped(sent: MailIntent) -> None:
    tell("mailgun", mailgun(sent, reason="suppress-complaint"))

    sent.refresh_from_db()
    assert sent.reported == Reported.COMPLAINED


def test_a_complaint_without_our_note_is_joined_by_our_message_id(sent: MailIntent) -> None:
    bare = mailgun(sent, "complained")
    for name in ("severity", "reason", "delivery-status", "user-variables"):
        del bare["event-data"][name]

    tell("mailgun", bare)

    sent.refresh_from_db()
    assert sent.reported == Reported.COMPLAINED


def test_the_test_button_of_a_provider_is_answered_like_any_report(sent: MailIntent) -> None:
    nobody: dict[str, Any] = {
        "MessageID": "00000000-0000-0000-0000-000000000000",
        "Metadata": {"example": "value"},
    }

    assert tell("postmark", postmark(sent, **nobody)).status_code == 204


def test_a_bounce_of_a_mail_in_doubt_ends_it(sent: MailIntent) -> None:
    MailIntent.objects.update(state=State.UNKNOWN, doubts=1, next_attempt_at=timezone.now())

    tell("postmark", postmark(sent))

    sent.refresh_from_db()
    assert (sent.state, sent.next_attempt_at) == (State.FAILED, None)


def test_a_report_is_joined_by_the_providers_id_too(sent: MailIntent) -> None:
    MailIntent.objects.update(provider_id="883953f4-6105-42a2-a16a-77a8eac79483")

    tell("postmark", postmark(sent, Metadata={}))

    sent.refresh_from_db()
    assert sent.reported == Reported.BOUNCED


@pytest.mark.parametrize(
    "changes",
    [
        {"Metadata": {"mail": f"<{NOBODY}@elsewhere.example>"}},
        {"Metadata": {"mail": "x"}, "MessageID": "x"},
        {"Metadata": None, "MessageID": None},
        {"Metadata": [], "MessageID": 7},
        {"RecordType": "Open"},
        {"RecordType": "New", "Type": "New"},
    ],
)
def test_a_report_about_no_mail_of_ours_is_no_error(
    sent: MailIntent, changes: dict[str, Any]
) -> None:
    before = MailIntent.objects.values().get()

    assert tell("postmark", postmark(sent, **changes)).status_code in {204, 400}

    assert MailIntent.objects.values().get() == before
    assert undeliverable() == []


# who may report


@pytest.mark.parametrize("headers", [{}, a_login("provider:wrong"), {"Authorization": "Basic x"}])
@pytest.mark.parametrize(("provider", "recorded"), HARD)
def test_a_report_without_the_login_is_refused(
    sent: MailIntent, provider: str, recorded: Any, headers: dict[str, str]
) -> None:
    answer = tell(provider, recorded(sent), headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    sent.refresh_from_db()
    assert sent.reported == ""


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": {"timestamp": "1790000000", "token": "a1", "signature": "0" * 64}},
        {"signature": {"timestamp": "1790000000", "token": "a1", "signature": 7}},
        {"signature": {"timestamp": "\ud7ff", "token": "a1", "signature": "0"}},
        {"signature": {}},
        {"signature": None},
        {"signature": []},
    ],
)
def test_a_forged_signature_is_refused(sent: MailIntent, forged: dict[str, Any]) -> None:
    assert tell("mailgun", mailgun(sent) | forged).status_code == 401
    sent.refresh_from_db()
    assert sent.reported == ""


@pytest.mark.parametrize("provider", ["mailgun", "postmark"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff", b"{}", b'[{"signature":1}]', b"[" * 60_000],
)
def test_a_body_of_another_shape_is_an_error_of_the_caller(provider: str, body: bytes) -> None:
    assert tell(provider, body).status_code in {204, 400, 401, 415}


def test_a_body_that_is_too_large_is_refused(sent: MailIntent) -> None:
    answer = tell("postmark", postmark(sent, Content="x" * 70_000))

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_answered(method: str) -> None:
    answer = Client().generic(method, "/v1/webhooks/mail/postmark", headers=a_login())

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_another_content_type_is_refused() -> None:
    answer = Client().post("/v1/webhooks/mail/mailgun", {"a": 1}, headers=a_login())

    assert answer.status_code == 415


def test_guesses_of_the_login_are_limited(sent: MailIntent, settings: Settings) -> None:
    settings.API_RATE_PER_ADDRESS = 3
    wrong = a_login("provider:wrong")

    statuses = [tell("postmark", postmark(sent), wrong).status_code for _ in range(5)]

    assert statuses == [401, 401, 401, 429, 429]
    assert tell("postmark", postmark(sent)).status_code == 204


def test_reports_are_not_limited(sent: MailIntent, settings: Settings) -> None:
    settings.API_RATE_PER_ADDRESS = settings.API_RATE_PER_KEY = 3

    assert {tell("postmark", postmark(sent)).status_code for _ in range(9)} == {204}


def test_there_is_no_webhook_that_is_not_configured(settings: Settings) -> None:
    settings.MAIL_WEBHOOKS = []

    assert mail_webhooks.addresses() == []


# what stops further mails


@pytest.fixture
def stopped(sent: MailIntent) -> MailIntent:
    tell("postmark", postmark_complaint(sent))
    sent.refresh_from_db()
    return sent


def test_a_complaint_changes_nothing_about_its_own_mail(stopped: MailIntent) -> None:
    assert (stopped.state, stopped.reported) == (State.SENT, Reported.COMPLAINED)
    assert undeliverable() == []


@pytest.mark.parametrize("first", [postmark, postmark_complaint])
def test_no_further_mail_goes_to_the_mailbox_however_it_is_spelt(
    sent: MailIntent, mailbox: Mailbox, first: Any
) -> None:
    tell("postmark", first(sent))
    already = len(undeliverable())
    mailbox.recipients.clear()

    subscribe("Ada+x@Example.com", "bob@example.com")
    sending.send_due_mails(always)

    assert mailbox.recipients == ["bob@example.com"]
    mail = MailIntent.objects.get(state=State.SUPPRESSED)
    assert len(undeliverable()) == already + 1
    assert undeliverable()[-1].reason == mail.last_error


def test_a_mail_that_waits_is_stopped_before_its_next_attempt(
    sent: MailIntent, mailbox: Mailbox
) -> None:
    mailbox.answer_rcpt["ada@example.com"] = "450 4.2.0 later"
    subscribe("ada@example.com")
    sending.send_due_mails(always)
    mailbox.answer_rcpt.clear()

    tell("postmark", postmark_complaint(sent))
    make_due()
    sending.send_due_mails(always)

    assert MailIntent.objects.filter(state=State.SUPPRESSED).count() == 1
    assert mailbox.recipients == ["ada@example.com"]


def test_a_resend_to_it_is_refused_with_a_clear_problem(stopped: MailIntent, platform: Api) -> None:
    code = AccessCode.objects.get()
    answer = platform.act("resend", code.access_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "mailbox_stopped")
    assert "reported an earlier mail as spam" in answer.json()["detail"]
    assert platform.act("resend", code.access_id, email="ada@elsewhere.example").status_code == 200


def test_the_api_shows_it_until_it_is_lifted(stopped: MailIntent, platform: Api) -> None:
    def shown() -> Any:
        listed = platform.get("/v1/access-codes").json()["results"][0]["mail_stopped"]
        single = platform.get(f"/v1/access-codes/{stopped.access_code.access_id}").json()
        assert single["mail_stopped"] == listed
        return listed and listed["why"]

    assert shown() == "complained"
    by_hand.lift(stopped.pk, by="ada", reason="a mistake")
    assert shown() is None


def test_an_operator_lifts_it_on_record(
    stopped: MailIntent, platform: Api, mailbox: Mailbox
) -> None:
    by_hand.lift(stopped.pk, by="ada", reason="she asked for it")
    mailbox.recipients.clear()
    tell("postmark", postmark_complaint(stopped))  # once more

    assert platform.act("resend", AccessCode.objects.get().access_id).status_code == 200
    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@example.com"]
    act = Act.objects.get(action="lift")
    assert (act.by, act.reason, act.facts["reported"]) == ("ada", "she asked for it", "complained")


def test_a_bounced_mail_is_resent_only_after_that(sent: MailIntent, mailbox: Mailbox) -> None:
    tell("postmark", postmark(sent))
    with pytest.raises(by_hand.NotPossible, match="mails lift"):
        by_hand.resend(sent.pk, by="ada", reason="try")

    by_hand.lift(sent.pk, by="ada", reason="the mailbox was full")
    by_hand.resend(sent.pk, by="ada", reason="try")
    mailbox.recipients.clear()
    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@example.com"]
    with pytest.raises(by_hand.NotPossible, match="is not stopped"):
        by_hand.lift(sent.pk, by="ada", reason="again")


def test_the_new_bounce_of_a_mail_to_a_lifted_mailbox_stops_it_again(
    sent: MailIntent, mailbox: Mailbox
) -> None:
    tell("postmark", postmark(sent))
    by_hand.lift(sent.pk, by="ada", reason="the mailbox was full")
    subscribe("ada@example.com")
    sending.send_due_mails(always)
    again = MailIntent.objects.order_by("-id")[0]

    tell("postmark", postmark(again))

    assert again.has_stop


def test_a_stop_outlives_a_day(stopped: MailIntent) -> None:
    MailIntent.objects.update(tried_at=timezone.now() - timedelta(days=400))

    assert stopped.has_stop
