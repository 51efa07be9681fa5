"""The payment side asks that a code be mailed again: once for each request, in whatever order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from access_codes import operating
from access_codes.mails import sending
from access_codes.models import AccessCode, MailIntent, Resend
from access_codes.reconciliation import grants
from admit_one.acts.models import Act
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, deliver, published
from shared_contracts.events import (
    AccessCodeEmailed,
    AccessCodeResendAnswered,
    AccessCodeResendRequested,
    SubscriptionCancelled,
    UserSubscribed,
)
from uuid_utils.compat import uuid7

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, make_due

pytestmark = pytest.mark.django_db

OLD, NEW = "ada@example.com", "ada@example.org"
WHY = {"by": "ada", "reason": "she asked for it"}


def paid() -> Envelope[UserSubscribed]:
    return an_envelope(UserSubscribed, email=OLD)


def issued() -> AccessCode:
    request = paid()
    deliver(request)
    return AccessCode.objects.get(pk=request.data.subscription_id)


def ask(subscription: UUID, version: int = 1, email: str | None = None) -> Envelope[Any]:
    return Envelope.of(
        AccessCodeResendRequested(subscription_id=subscription, version=version, email=email)
    )


def answers() -> list[tuple[int, str | None]]:
    return [
        (message.data.version, message.data.refused)
        for message in published()
        if isinstance(message.data, AccessCodeResendAnswered)
    ]


def addresses(state: str | None = None) -> list[str]:
    mails = MailIntent.objects.order_by("created_at", "id")
    return [mail.address for mail in (mails if state is None else mails.filter(state=state))]


def test_the_same_code_is_mailed_again_and_reported(mailbox: Mailbox) -> None:
    row = issued()
    deliver(ask(row.pk))
    sending.send_due_mails(always)

    assert answers() == [(1, None)]
    assert [mail["To"] for mail in mailbox.mails] == [OLD, OLD]
    assert all(row.code in mail.as_string() for mail in mailbox.mails)
    assert len([m for m in published() if isinstance(m.data, AccessCodeEmailed)]) == 2


def test_a_request_delivered_again_mails_once_and_is_answered_again() -> None:
    row = issued()
    request = ask(row.pk)
    deliver(request)
    deliver(request)  # the same event: the inbox drops it
    deliver(ask(row.pk), ask(row.pk))  # the payment side repeats it as new events

    assert answers() == [(1, None)] * 3
    assert addresses() == [OLD, OLD]
    assert Act.objects.filter(action="resend").count() == 1


def test_a_corrected_address_gets_the_code_and_what_waits_for_the_old_one_is_withdrawn() -> None:
    row = issued()
    deliver(ask(row.pk, email=NEW))

    assert addresses("withdrawn") == [OLD]
    assert addresses("pending") == [NEW]


def test_of_two_requests_in_the_wrong_order_only_the_later_one_is_mailed() -> None:
    row = issued()
    deliver(ask(row.pk, 2, NEW))
    deliver(ask(row.pk, 1, "first@example.org"))

    assert answers() == [(2, None), (2, None)]
    assert addresses() == [OLD, NEW]
    assert Resend.objects.get().address == NEW


def test_the_limit_is_shared_with_operators() -> None:
    row = issued()
    operating.resend(row.pk, 1, **WHY)
    for version in (1, 2, 3):
        deliver(ask(row.pk, version))

    assert [version for version, _ in answers()] == [1, 2, 3]
    assert [refused is not None for _, refused in answers()] == [False, False, True]
    assert "3 times in 24 hours" in str(answers()[2][1])
    assert len(addresses()) == 1 + 3


def test_a_refused_request_is_not_tried_again_when_the_limit_is_over() -> None:
    row = issued()
    for version in (1, 2, 3, 4):
        deliver(ask(row.pk, version))
    for act in Act.objects.all():
        Act.objects.filter(pk=act.pk).update(at=act.at - timedelta(days=2))
    deliver(ask(row.pk, 4))

    assert answers()[3] == answers()[4]
    assert len(addresses()) == 1 + 3


def test_a_refused_correction_is_where_later_mails_go() -> None:
    row = issued()
    for version in (1, 2, 3):
        deliver(ask(row.pk, version))
    deliver(ask(row.pk, 4, NEW))
    operating.replace(row.pk, 1, **WHY)

    assert addresses() == [OLD, OLD, OLD, OLD, NEW]


def test_a_correction_before_the_code_gets_the_codes_own_mail() -> None:
    request = paid()
    deliver(ask(request.data.subscription_id, email=NEW))
    before = answers()
    deliver(request)
    deliver(Envelope.of(request.data))

    assert (before, answers()) == ([], [(1, None)])
    assert addresses() == [NEW]
    assert not Act.objects.filter(action="resend").exists()  # the limit is untouched


def test_a_request_before_the_code_is_answered_by_it_in_one_batch() -> None:
    request = paid()
    deliver(ask(request.data.subscription_id), request)

    assert answers() == [(1, None)]
    assert addresses() == [OLD]


def test_a_request_that_did_not_see_its_code_is_mailed_when_it_is_repeated() -> None:
    """Both were handled at the same moment, each without the other."""
    row = issued()
    Resend.objects.create(pk=row.pk, version=1)
    deliver(ask(row.pk))

    assert answers() == [(1, None)]
    assert addresses() == [OLD, OLD]


@pytest.mark.parametrize("is_issued", [True, False])
def test_after_a_cancellation_it_is_refused(is_issued: bool) -> None:
    request = paid()
    if is_issued:
        deliver(request)
    subscription = request.data.subscription_id
    deliver(an_envelope(SubscriptionCancelled, subscription_id=subscription))
    deliver(ask(subscription))

    assert answers() == [(1, "the code is revoked")]
    assert len(addresses()) == is_issued


def test_before_a_cancellation_its_mail_is_withdrawn(mailbox: Mailbox) -> None:
    row = issued()
    deliver(ask(row.pk))
    deliver(an_envelope(SubscriptionCancelled, subscription_id=row.pk))
    sending.send_due_mails(always)

    assert mailbox.mails == []
    assert addresses("withdrawn") == [OLD, OLD]


def test_after_a_replacement_the_code_that_works_is_mailed(mailbox: Mailbox) -> None:
    row = issued()
    now = operating.replace(row.pk, 1, **WHY).code
    deliver(ask(row.pk))
    sending.send_due_mails(always)

    assert answers() == [(1, None)]
    assert now in mailbox.mails[-1].as_string()


def test_a_suspended_code_is_mailed_again() -> None:
    row = issued()
    operating.suspend(row.pk, 1, **WHY)
    deliver(ask(row.pk))

    assert answers() == [(1, None)]


def test_a_grant_has_the_address_as_the_payment_side_corrected_it() -> None:
    row = issued()
    operating.resend(row.pk, 1, email="operator@example.org", **WHY)
    before = report_of(row)
    deliver(ask(row.pk, email=NEW))

    assert (before, report_of(row)) == (OLD, NEW)


def report_of(row: AccessCode) -> str:
    report = grants.grant(grants.with_codes([row.pk])[row.pk], uuid7())
    assert report is not None
    return str(report.email)


def test_no_address_is_in_its_record_or_repr() -> None:
    row = issued()
    request = ask(row.pk, email=NEW)
    deliver(request)

    [act] = Act.objects.filter(action="resend")
    assert (act.by, act.facts["corrected"]) == ("payment_service", True)
    assert NEW not in f"{vars(act)}{request.data!r}{vars(Resend.objects.get())}"


@pytest.mark.parametrize("ending", ["deferred", "its worker dies", "server away"])
def test_a_mail_that_was_being_sent_is_not_tried_again_at_the_wrong_address(
    mailbox: Mailbox, ending: str
) -> None:
    row = issued()
    [sent] = MailIntent.objects.take(1, cap=20)
    MailIntent.objects.claim([sent], 60)
    deliver(ask(row.pk, email=NEW))
    if ending == "deferred":
        sent.defer("451 later", pause=0)
    elif ending == "server away":
        sent.release()
    make_due()
    for _ in range(3):
        sending.send_due_mails(always)
        make_due()

    assert [mail["To"] for mail in mailbox.mails] == [NEW]
    assert addresses("withdrawn") == [OLD]


def test_a_mail_that_was_deferred_is_tried_again_though_it_was_mailed_again(
    mailbox: Mailbox,
) -> None:
    row = issued()
    mailbox.answer_rcpt[OLD] = "451 later"
    sending.send_due_mails(always)
    deliver(ask(row.pk))
    mailbox.answer_rcpt.clear()
    make_due()
    sending.send_due_mails(always)

    assert [mail["To"] for mail in mailbox.mails] == [OLD, OLD]
