"""Replacements, terms, uses, suspensions and revocations survive the loss of either database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from access_codes import operating, redeeming
from access_codes.admission import Reason
from access_codes.models import AccessCode, Suspension
from access_codes.reconciliation import access_state, grants
from access_codes.redeeming import Question
from admit_one.messaging.testing import an_envelope, deliver
from shared_contracts.events import AccessCodeRestored, AccessTermsChanged, UserSubscribed

pytestmark = pytest.mark.django_db

CODE, LATER_CODE = "7K3M-Q9TX-2WBD-H5RN", "ZZZZ-ZZZZ-ZZZZ-ZZZZ"
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
UNTIL = datetime(2030, 1, 1, tzinfo=UTC)
WHY = {"by": "ada", "reason": "a test"}


def restored(**changes: Any) -> AccessCode:
    event = {"subscription_id": uuid4(), "access_code": CODE, **changes}
    deliver(an_envelope(AccessCodeRestored, **event))
    return AccessCode.objects.get(pk=event["subscription_id"])


def answer(code: str) -> Reason:
    return redeeming.validate(Question(code)).reason


def test_a_lost_code_comes_back_with_its_generation_uses_and_terms() -> None:
    row = restored(generation=3, uses_made=2, version=7, uses=2, valid_until=UNTIL)

    assert (row.generation, row.uses, row.terms.version) == (3, 2, 7)
    assert answer(CODE) == Reason.USED_UP


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"suspension_version": 4, "suspended_by_operator": True}, Reason.SUSPENDED),
        ({"version": 1, "suspended": True}, Reason.SUSPENDED),
        ({"revoked_at": WHEN}, Reason.REVOKED),
        ({}, Reason.OK),
    ],
)
def test_a_lost_code_lets_in_no_more_than_before(state: dict[str, Any], reason: Reason) -> None:
    restored(**state)

    assert answer(CODE) == reason


def test_a_lost_replacement_comes_back_and_the_code_before_it_does_not_work() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)
    leaked = AccessCode.objects.get().code
    row = restored(
        subscription_id=request.data.subscription_id, access_code=LATER_CODE, generation=2
    )

    assert (row.generation, answer(leaked), answer(LATER_CODE)) == (2, Reason.REPLACED, Reason.OK)


def test_a_later_code_stays() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)
    now = operating.replace(request.data.subscription_id, 1, **WHY).code
    restored(subscription_id=request.data.subscription_id, access_code=CODE, generation=1)

    assert (answer(now), answer(CODE)) == (Reason.OK, Reason.UNKNOWN)


def test_a_later_suspension_of_ours_stays() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)
    operating.suspend(request.data.subscription_id, 1, **WHY)
    restored(
        subscription_id=request.data.subscription_id,
        suspension_version=1,
        suspended_by_operator=False,
    )

    assert Suspension.objects.get().maker == "operator"


def test_a_grant_reports_all_that_restores_it() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)
    subscription = request.data.subscription_id
    deliver(
        an_envelope(
            AccessTermsChanged,
            subscription_id=subscription,
            version=5,
            valid_until=UNTIL,
            suspended=True,
        )
    )
    operating.replace(subscription, 1, **WHY)
    operating.suspend(subscription, 2, **WHY)
    [row] = grants.with_codes([subscription]).values()
    report = grants.grant(row, uuid4())

    assert report is not None
    assert (report.generation, report.version, report.valid_until) == (2, 5, UNTIL)
    assert (report.suspended, report.suspended_by_operator) == (True, True)
    assert report.suspension_version == row.suspension_version > 0


def test_without_terms_a_grant_reports_none() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)
    [row] = grants.with_codes([request.data.subscription_id]).values()

    state = access_state.of(row)
    assert "version" not in state
    assert state["revoked_at"] is None
