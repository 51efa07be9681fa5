"""In whatever order the student side's events of a life arrive, this side ends in one state."""

from __future__ import annotations

import pytest
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import deliver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from subscriptions.models import Subscription

from tests.factories import a_subscription
from tools.system.lives import SUBSCRIPTION, Life, State, arrivals, lives


class Lives(TestCase):
    @pytest.mark.timeout(300)
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(life=lives(), data=st.data())
    def test_every_order_and_repetition_ends_in_the_same_state(
        self, life: Life, data: st.DataObject
    ) -> None:
        a_subscription()
        Subscription.objects.update(id=SUBSCRIPTION, **life_of_the_row(life.end))
        results = {
            outcome.result
            for batch in data.draw(arrivals(life.from_student))
            for outcome in deliver(*(Envelope.of(event) for event in batch))
        }

        row = Subscription.objects.get()
        assert results == {Result.HANDLED}
        assert (row.code, row.code_generation) == (life.end.code, life.end.generation)
        assert row.uses_made == life.end.uses_made
        assert row.suspension_version == life.end.suspension_version
        assert row.suspended_by_operator == life.end.suspended_by_operator
        assert (row.code_revoked_at is not None) == life.end.revoked
        assert (row.resend_answered, row.resend_is_answered) == (life.end.resend_version, True)
        assert row.terms_applied >= row.terms_version or life.end.terms.version == initial(life)


def life_of_the_row(end: State) -> dict[str, object]:
    return {"terms_version": end.terms.version, "resend_version": end.resend_version}


def initial(life: Life) -> int:
    """The version of the terms with which it was paid."""
    return int(getattr(life.from_payment[0], "version", 0))
