"""The code of a cancelled subscription stops working, whatever the order of the events."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from access_codes import redeeming
from access_codes.admission import Reason
from access_codes.mails import by_hand, sending
from access_codes.models import AccessCode, MailIntent, Revocation
from access_codes.redeeming import Question
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.messaging.why import timeline
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from shared_contracts.events import AccessCodeRevoked, SubscriptionCancelled, UserSubscribed

from tests.mails.smtp_server import Mailbox

pytestmark = pytest.mark.django_db
State = MailIntent.State


def requested_and_cancelled() -> tuple[Envelope[UserSubscribed], Envelope[SubscriptionCancelled]]:
    request = an_envelope(UserSubscribed)
    subscription = request.data.subscription_id
    return request, an_envelope(SubscriptionCancelled, subscription_id=subscription)


def answer(code: str) -> Reason:
    return redeeming.validate(Question(code)).reason


def replies() -> list[Envelope[AccessCodeRevoked]]:
    return [m for m in published() if isinstance(m.data, AccessCodeRevoked)]


def test_a_revoked_code_is_not_found_any_more() -> None:
    request, cancelled = requested_and_cancelled()
    deliver(request)
    code = AccessCode.objects.get().code
    before = answer(code)
    deliver(cancelled)

    assert (before, answer(code)) == (Reason.OK, Reason.REVOKED)


def test_the_reply_names_the_cancellation_as_its_cause() -> None:
    _, cancelled = requested_and_cancelled()
    deliver(cancelled)

    [reply] = replies()
    row = Revocation.objects.get()
    assert (reply.subject, reply.causationid) == (cancelled.subject, cancelled.id)
    assert (reply.data.revoked_at, row.cancelled_at) == (
        row.revoked_at,
        cancelled.data.cancelled_at,
    )


@pytest.mark.parametrize("order", list(permutations(["requested", "cancelled", "requested again"])))
def test_in_any_order_of_events_there_is_one_code_and_it_is_revoked(order: tuple[str]) -> None:
    request, cancelled = requested_and_cancelled()
    messages: dict[str, Envelope[Any]] = {
        "requested": request,
        "cancelled": cancelled,
        "requested again": Envelope.of(request.data),
    }
    results = [deliver(messages[which])[0].result for which in order]

    assert results == [Result.HANDLED] * 3
    assert AccessCode.objects.get().is_revoked
    assert MailIntent.objects.count() == 1


def test_a_code_requested_and_cancelled_in_one_batch_is_revoked() -> None:
    request, cancelled = requested_and_cancelled()
    deliver(cancelled, request, Envelope.of(cancelled.data))

    assert AccessCode.objects.get().is_revoked
    assert len(replies()) == 2


def test_a_repeated_cancellation_is_answered_with_the_first_revocation() -> None:
    _, cancelled = requested_and_cancelled()
    deliver(cancelled)
    deliver(Envelope.of(cancelled.data))

    first, again = replies()
    assert again.data == first.data


def test_codes_of_other_subscriptions_stay_valid() -> None:
    request, cancelled = requested_and_cancelled()
    other = an_envelope(UserSubscribed)
    deliver(request, other, cancelled)

    kept = AccessCode.objects.get(subscription_id=other.data.subscription_id)
    assert answer(kept.code) == Reason.OK


def test_the_mail_of_a_revoked_code_is_withdrawn_without_a_report(
    mailbox: Mailbox,
) -> None:
    deliver(*requested_and_cancelled())
    sending.send_due_mails(lambda: True)

    mail = MailIntent.objects.get()
    assert mailbox.mails == []
    assert (mail.state, mail.last_error) == (State.WITHDRAWN, "its subscription was cancelled")
    assert mail.next_attempt_at is None
    assert {m.type for m in published()} == {"access_code_created", "access_code_revoked"}


def test_an_operator_cannot_resend_the_mail_of_a_revoked_code(mailbox: Mailbox) -> None:
    deliver(*requested_and_cancelled())
    sending.send_due_mails(lambda: True)

    with pytest.raises(by_hand.NotPossible, match="is withdrawn"):
        by_hand.resend(MailIntent.objects.get().id, by="ada", reason="her mailbox was full")


def test_a_withdrawn_mail_keeps_its_last_error(mailbox: Mailbox) -> None:
    request, cancelled = requested_and_cancelled()
    deliver(request)
    mailbox.drop_after_data = True
    sending.send_due_mails(lambda: True)
    doubt = MailIntent.objects.get()
    deliver(cancelled)
    MailIntent.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    sending.outage.end()
    sending.send_due_mails(lambda: True)

    mail = MailIntent.objects.get()
    assert (doubt.state, mail.state) == (State.UNKNOWN, State.WITHDRAWN)
    assert mail.last_error == f"its subscription was cancelled; before that: {doubt.last_error}"


def test_the_number_of_queries_does_not_depend_on_the_size_of_the_batch(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    few = [requested_and_cancelled()[1] for _ in range(2)]
    many = [requested_and_cancelled()[1] for _ in range(50)]
    with django_assert_num_queries(4) as captured:
        deliver(*few)
    with django_assert_num_queries(len(captured)):
        deliver(*many)


def test_why_shows_a_revocation_even_without_a_code() -> None:
    request, cancelled = requested_and_cancelled()
    deliver(cancelled)
    before = timeline.of(cancelled.subject)
    deliver(request)
    after = timeline.of(cancelled.subject)

    revoked = "code revoked: its subscription was cancelled"
    assert revoked in [step.what for step in before.steps]
    assert revoked in [step.what for step in after.steps]
    assert [w.why for w in after.waits if "mail" in w.why] == []
    assert Revocation.objects.get().revoked_at <= timezone.now()
