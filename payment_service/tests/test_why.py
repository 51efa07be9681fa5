"""What `manage.py why` tells on the payment side."""

from __future__ import annotations

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import deliver
from admit_one.messaging.why import timeline
from django.utils import timezone
from subscriptions.models import Subscription

from tests.factories import CODE, a_code_for, a_subscription

pytestmark = pytest.mark.django_db(transaction=True)


def whats(told: timeline.Told) -> str:
    return "\n".join(step.what for step in told.steps)


def test_a_subscription_with_its_code_is_finished_and_the_code_is_not_told() -> None:
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())
    deliver(a_code_for(subscription.id))

    told = timeline.tell(str(subscription.id))

    assert told.waits == []
    for what in (
        "paid: ",
        "user_subscribed written down to be sent",
        "user_subscribed taken by the broker",
        "access_code_created handled",
        "code issued",
    ):
        assert what in whats(told)
    assert CODE not in whats(told)
    assert subscription.email not in whats(told)


def test_one_whose_ask_is_out_tells_when_it_asks_again() -> None:
    subscription = a_subscription()
    OutboxMessage.objects.update(published_at=timezone.now())

    [wait] = timeline.tell(str(subscription.id)).waits

    clock = timeline.clock(subscription.next_request_at)
    assert wait.why == "no code yet; requested once, and the last request was published"
    assert wait.then == f"It is requested again at {clock}, without end."


def test_one_whose_ask_is_not_out_waits_for_that_alone() -> None:
    subscription = a_subscription()

    [wait] = timeline.tell(str(subscription.id), "connection refused").waits

    assert "the broker is away: connection refused" in wait.why


def test_a_mail_that_was_given_up_is_told_masked() -> None:
    subscription = a_subscription()
    deliver(a_code_for(subscription.id))
    OutboxMessage.objects.update(published_at=timezone.now())
    reason = "550 no ada@example.com here"
    Subscription.objects.update(mail_failed_at=timezone.now(), mail_failure=reason)

    [wait] = timeline.tell(str(subscription.id)).waits

    assert (wait.stuck, wait.why) == (True, "its mail was given up: 550 no a…@e….com here")


def test_an_id_that_is_none_is_not_known() -> None:
    assert timeline.tell("no-such-thing").steps == []
