"""What `manage.py why` reports on the payment side."""

from __future__ import annotations

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver
from admit_one.messaging.why import timeline
from django.utils import timezone
from subscriptions.models import Subscription

from tests.factories import CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db(transaction=True)


def whats(report: timeline.Report) -> str:
    return "\n".join(step.what for step in report.steps)


def test_with_its_code_it_waits_for_nothing_and_shows_no_code() -> None:
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())
    deliver(a_code_for(subscription.id))

    report = timeline.report(str(subscription.id))

    assert report.waits == []
    for what in (
        "paid: ",
        "user_subscribed written to the outbox",
        "user_subscribed confirmed by the broker",
        "access_code_created handled",
        "code issued",
    ):
        assert what in whats(report)
    assert CODE not in whats(report)
    assert subscription.email not in whats(report)


def test_an_unanswered_request_shows_when_it_is_repeated() -> None:
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())

    [wait] = timeline.report(str(subscription.id)).waits

    clock = timeline.clock(subscription.next_request_at)
    assert wait.why == "no code yet; requested once, and the last request was published"
    assert wait.then == f"It is requested again at {clock}, without end."


def test_an_unsent_request_waits_for_the_relay_alone() -> None:
    subscription = a_subscription()

    [wait] = timeline.report(str(subscription.id), "connection refused").waits

    assert "the broker is away: connection refused" in wait.why


def test_a_mail_that_was_given_up_is_shown_masked() -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    OutboxMessage.objects.update(published_at=timezone.now())
    reason = "550 no ada@example.com here"
    Subscription.objects.update(mail_failed_at=timezone.now(), mail_failure=reason)

    [wait] = timeline.report(str(subscription.id)).waits

    assert (wait.stuck, wait.why) == (True, "its mail was given up: 550 no a…@e….com here")


def test_a_malformed_id_is_unknown() -> None:
    assert timeline.report("no-such-thing").steps == []
