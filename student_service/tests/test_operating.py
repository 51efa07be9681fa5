"""Operators suspend, reinstate, revoke and replace codes, on record and idempotently."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from access_codes import operating, redeeming
from access_codes.admission import Reason
from access_codes.models import AccessCode, MailIntent
from access_codes.operating import NotPossible
from access_codes.redeeming import Question
from admit_one.acts.models import Act
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, deliver, published
from shared_contracts.events import (
    AccessCodeReplaced,
    AccessCodeRevoked,
    AccessSuspensionChanged,
    UserSubscribed,
)

pytestmark = pytest.mark.django_db

Operate = Callable[..., AccessCode]
WHY = {"by": "ada", "reason": "she asked for it"}


def issued() -> tuple[Envelope[UserSubscribed], AccessCode]:
    request = an_envelope(UserSubscribed)
    deliver(request)
    return request, AccessCode.objects.get(pk=request.data.subscription_id)


@pytest.mark.parametrize(
    "operate", [operating.suspend, operating.revoke, operating.replace, operating.reinstate]
)
def test_done_again_it_changes_nothing_and_records_nothing(operate: Operate) -> None:
    _, row = issued()
    if operate is operating.reinstate:
        operating.suspend(row.pk, 1, **WHY)
    for _ in range(2):
        operate(row.pk, 1, **WHY)

    name = operate.__name__
    [act] = Act.objects.filter(area="access_codes", action=name)
    assert (act.by, act.reason, act.subject) == ("ada", "she asked for it", str(row.pk))
    assert len([m for m in published() if m.type.startswith("access_")]) == (
        3 if name == "reinstate" else 2
    )


def test_a_replaced_code_lets_in_nobody_and_the_new_one_does() -> None:
    _, row = issued()
    before = row.code
    now = operating.replace(row.pk, 1, **WHY).code

    assert redeeming.validate(Question(before)).reason == Reason.REPLACED
    assert redeeming.validate(Question(now)).reason == Reason.OK
    [event] = [m.data for m in published() if isinstance(m.data, AccessCodeReplaced)]
    assert (event.access_code, event.generation) == (now, 2)


def test_the_new_code_is_mailed_to_the_same_address() -> None:
    request, row = issued()
    operating.replace(row.pk, 1, **WHY)

    assert [m.address for m in MailIntent.objects.all()] == [request.data.email] * 2


def test_a_request_after_a_replacement_is_answered_with_the_code_that_works() -> None:
    request, row = issued()
    now = operating.replace(row.pk, 1, **WHY).code
    deliver(Envelope.of(request.data))

    last = list(published())[-1].data
    assert isinstance(last, AccessCodeReplaced)
    assert (last.access_code, last.generation) == (now, 2)


def test_suspensions_are_reported_with_rising_versions() -> None:
    _, row = issued()
    operating.suspend(row.pk, 1, **WHY)
    operating.reinstate(row.pk, 1, **WHY)

    reported = [m.data for m in published() if isinstance(m.data, AccessSuspensionChanged)]
    assert [event.suspended for event in reported] == [True, False]
    assert reported[0].version < reported[1].version


def test_a_revocation_is_reported_and_final() -> None:
    _, row = issued()
    operating.revoke(row.pk, 1, **WHY)

    assert [m.data.subscription_id for m in published() if isinstance(m.data, AccessCodeRevoked)]
    with pytest.raises(NotPossible, match="revoked"):
        operating.replace(row.pk, 1, **WHY)


@pytest.mark.parametrize("operate", [operating.suspend, operating.revoke, operating.reinstate])
def test_a_code_that_was_replaced_is_refused_by_name(operate: Operate) -> None:
    _, row = issued()
    operating.replace(row.pk, 1, **WHY)

    with pytest.raises(NotPossible, match=rf"works now is {row.pk}\.2"):
        operate(row.pk, 1, **WHY)


@pytest.mark.parametrize("operate", [operating.suspend, operating.replace])
def test_a_code_that_never_was_is_refused(operate: Operate) -> None:
    _, row = issued()

    with pytest.raises(NotPossible, match="there is no code"):
        operate(row.pk, 2, **WHY)
