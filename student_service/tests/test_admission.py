"""A code lets in by one rule, and every refusal costs the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from access_codes import admission, operating, redeeming
from access_codes.admission import Reason
from access_codes.models import AccessCode, Revocation, Suspension, Terms
from access_codes.redeeming import Question
from admit_one.messaging.testing import an_envelope, deliver, published
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from shared_contracts.events import AccessCodeRedeemed, UserSubscribed

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
REASON = {"by": "ada", "reason": "a test"}


def issued(**changes: object) -> AccessCode:
    request = an_envelope(UserSubscribed, **changes)
    deliver(request)
    return AccessCode.objects.get(pk=request.data.subscription_id)


def set_terms(row: AccessCode, **terms: object) -> None:
    Terms.objects.create(access_code=row, version=1, **terms)


def replaced(row: AccessCode) -> None:
    operating.replace(row.pk, 1, by="ada", reason="leaked")


def redeemed(row: AccessCode) -> None:
    set_terms(row, uses=1)
    redeeming.redeem(Question(row.code), client="platform")


PREPARE: dict[Reason, Callable[[AccessCode], object]] = {
    Reason.OK: lambda row: None,
    Reason.REVOKED: lambda row: operating.revoke(row.pk, 1, by="ada", reason="a test"),
    Reason.REPLACED: replaced,
    Reason.SUSPENDED: lambda row: operating.suspend(row.pk, 1, by="ada", reason="a test"),
    Reason.NOT_YET_VALID: lambda row: set_terms(row, valid_from=timezone.now() + DAY),
    Reason.EXPIRED: lambda row: set_terms(row, valid_until=timezone.now() - DAY),
    Reason.USED_UP: redeemed,
    Reason.OTHER_USER: lambda row: None,
    Reason.OTHER_PLAN: lambda row: None,
    Reason.UNKNOWN: lambda row: None,
    Reason.MALFORMED: lambda row: None,
}


def question(reason: Reason, code: str) -> Question:
    return {
        Reason.OTHER_USER: Question(code, user_id="another"),
        Reason.OTHER_PLAN: Question(code, plan="another"),
        Reason.UNKNOWN: Question("7K3M-Q9TX-2WBD-0000"),
        Reason.MALFORMED: Question("7K3M-U"),
    }.get(reason, Question(code, user_id="user-42", plan="gold"))


@pytest.mark.parametrize("ask", [redeeming.validate, partial(redeeming.redeem, client="platform")])
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given(
    reason: Reason, ask: Callable[[Question], admission.Admission]
) -> None:
    row = issued()
    code = row.code
    PREPARE[reason](row)

    answer = ask(question(reason, code))

    assert (answer.reason, answer.is_valid) == (reason, reason == Reason.OK)


@pytest.mark.parametrize("ask", [redeeming.validate, partial(redeeming.redeem, client="platform")])
def test_refusals_of_every_reason_run_the_same_statements(
    ask: Callable[[Question], admission.Admission],
) -> None:
    ran = set()
    for reason in set(Reason) - {Reason.OK}:
        row = issued()
        code = row.code
        PREPARE[reason](row)
        with CaptureQueriesContext(connection) as captured:
            ask(question(reason, code))
        ran.add(tuple(str(query["sql"]).partition(" WHERE ")[0] for query in captured))

    assert len(ran) == 1, ran


def test_what_is_typed_like_the_code_is_the_code() -> None:
    code = issued().code
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in code)
    for typed in (code.lower(), code.replace("-", ""), f" {code} ".replace("-", " "), wide):
        assert redeeming.validate(Question(typed)).is_valid


def test_the_same_reference_of_a_client_is_the_same_use() -> None:
    row = issued()
    set_terms(row, uses=1)
    first, again, another = (
        redeeming.redeem(Question(row.code, reference=reference), client="platform").reason
        for reference in ("order 1", "order 1", "order 2")
    )

    row.refresh_from_db()
    assert (first, again, another) == (Reason.OK, Reason.OK, Reason.USED_UP)
    assert (row.uses, row.redemptions.count()) == (1, 1)


def test_the_same_reference_does_not_let_in_after_a_revocation() -> None:
    row = issued()
    redeeming.redeem(Question(row.code, reference="1"), client="platform")
    operating.revoke(row.pk, 1, **REASON)

    again = redeeming.redeem(Question(row.code, reference="1"), client="platform")

    assert again.reason == Reason.REVOKED


def test_a_redemption_is_reported_with_the_count() -> None:
    row = issued()
    for _ in range(2):
        redeeming.redeem(Question(row.code), client="platform")

    reported = [m.data for m in published() if isinstance(m.data, AccessCodeRedeemed)]
    assert [(event.subscription_id, event.uses) for event in reported] == [(row.pk, 1), (row.pk, 2)]


def test_validating_changes_nothing() -> None:
    row = issued()
    set_terms(row, uses=1)
    for _ in range(3):
        redeeming.validate(Question(row.code))

    row.refresh_from_db()
    assert row.uses == 0


def test_an_admission_holds_until_the_code_is_revoked_replaced_suspended_or_expired() -> None:
    row = issued()
    redeemed(row)
    holds = admission.of_access(row.pk, 1)
    assert holds is not None
    assert holds.reason == Reason.OK

    operating.suspend(row.pk, 1, **REASON)
    suspended = admission.of_access(row.pk, 1)
    operating.reinstate(row.pk, 1, **REASON)
    replaced(row)

    assert suspended is not None
    assert suspended.reason == Reason.SUSPENDED
    before, now, never = (admission.of_access(row.pk, generation) for generation in (1, 2, 3))
    assert before is not None
    assert now is not None
    assert (before.reason, now.reason, never) == (Reason.REPLACED, Reason.OK, None)


def test_a_code_lets_in_from_the_first_moment_and_not_at_the_last() -> None:
    row = issued()
    begin = timezone.now()
    end = begin + DAY
    set_terms(row, valid_from=begin, valid_until=end)
    [checked] = admission.with_state()

    def at(moment: datetime) -> Reason:
        checked.checked_at = moment
        return admission.decide(checked)

    tick = timedelta(microseconds=1)
    assert [at(begin - tick), at(begin), at(end - tick), at(end)] == [
        Reason.NOT_YET_VALID, Reason.OK, Reason.OK, Reason.EXPIRED,
    ]  # fmt: skip


def test_a_revocation_and_a_suspension_before_the_code_count_for_it() -> None:
    request = an_envelope(UserSubscribed)
    Suspension.objects.create(
        subscription_id=request.data.subscription_id, maker="payment", since=timezone.now()
    )
    deliver(request)
    row = AccessCode.objects.get()
    suspended = redeeming.validate(Question(row.code)).reason
    Revocation.objects.create(access_code=row, revoked_at=timezone.now())

    assert (suspended, redeeming.validate(Question(row.code)).reason) == (
        Reason.SUSPENDED,
        Reason.REVOKED,
    )
