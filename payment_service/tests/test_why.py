"""What `manage.py why` reports on the payment side."""

from __future__ import annotations

from functools import partial

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver
from admit_one.messaging.why import timeline
from admit_one.webhooks import endpoints
from admit_one.webhooks.endpoints import Owner
from admit_one.webhooks.models import Delivery, Endpoint
from django.utils import timezone
from subscriptions import lifecycle
from subscriptions.models import Subscription

from tests.factories import CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db(transaction=True)


def whats(known: timeline.Timeline) -> str:
    return "\n".join(step.what for step in known.steps)


def test_a_subscription_with_its_code_waits_for_nothing_and_the_code_is_not_shown() -> None:
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())
    deliver(a_code_for(subscription.id))

    known = timeline.of(str(subscription.id))

    assert known.waits == []
    for what in (
        "paid: ",
        "user_subscribed written to the outbox",
        "user_subscribed confirmed by the broker",
        "access_code_created handled",
        "code issued",
    ):
        assert what in whats(known)
    assert CODE not in whats(known)
    assert subscription.email not in whats(known)


def test_an_unanswered_request_shows_when_it_is_repeated() -> None:
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())

    [wait] = timeline.of(str(subscription.id)).waits

    clock = timeline.clock(subscription.next_request_at)
    assert wait.why == "no code yet; requested once, and the last request was published"
    assert wait.then == f"It is requested again at {clock}, until the reply arrives."


def test_an_unpublished_request_waits_for_the_relay_only() -> None:
    subscription = a_subscription()

    [wait] = timeline.of(str(subscription.id), "connection refused").waits

    assert "the broker is unavailable: connection refused" in wait.why


def test_a_mail_that_was_given_up_is_shown_masked() -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    OutboxMessage.objects.update(published_at=timezone.now())
    reason = "550 no ada@example.com here"
    Subscription.objects.update(mail_failed_at=timezone.now(), mail_failure=reason)

    [wait] = timeline.of(str(subscription.id)).waits

    assert (wait.stuck, wait.why) == (True, "its mail was given up: 550 no a…@e….com here")


def test_a_malformed_id_is_unknown() -> None:
    assert timeline.of("no-such-thing").steps == []


def test_a_failure_reason_cannot_contain_terminal_control_characters() -> None:
    subscription = a_subscription()
    Subscription.objects.update(mail_failed_at=timezone.now(), mail_failure="\x1b[2J\x9b31mgone")

    report = timeline.of(str(subscription.id))

    assert (whats(report) + report.waits[0].why).replace("\n", "").isprintable()


def test_webhooks_about_it_are_shown_with_what_they_wait_for() -> None:
    make = partial(endpoints.create, Owner("shop", test=False), events=["subscription.cancelled"])
    works, _ = make(url="https://works.example.com/secret-path")
    gone, _ = make(url="https://gone.example.com/")
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())
    lifecycle.cancel(client="shop", subscription_id=subscription.id)
    Delivery.objects.filter(endpoint=works).update(
        state="delivered", attempts=2, finished_at=timezone.now(), next_attempt_at=None
    )
    Endpoint.objects.filter(pk=gone.pk).update(disabled_at=timezone.now(), disabled_reason="410")

    known = timeline.of(str(subscription.id))

    sent = f"webhook subscription.cancelled to endpoint {works.pk}"
    assert f"{sent} delivered after 2 attempts" in whats(known)
    [stuck] = [wait for wait in known.waits if wait.stuck]
    assert str(gone.pk) in stuck.why
    assert "secret-path" not in whats(known)
