"""In whatever order the payment side's events of a life arrive, this side ends in one state."""

from __future__ import annotations

import pytest
from access_codes.models import AccessCode, Resend, Revocation, Suspension
from access_codes.models import Terms as TermsRow
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import deliver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tools.system.lives import Life, Terms, arrivals, lives


class Lives(TestCase):
    @pytest.mark.timeout(300)
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(life=lives(), data=st.data())
    def test_every_order_and_repetition_ends_in_the_same_state(
        self, life: Life, data: st.DataObject
    ) -> None:
        for batch in data.draw(arrivals(life.from_payment)):
            deliver(*(Envelope.of(event) for event in batch))

        row = AccessCode.objects.get()
        assert row.generation == 1
        assert Revocation.objects.exists() == life.end.cancelled
        assert terms_of(row) == life.end.terms
        assert resend_of(row) == (life.end.resend_version, life.end.corrected)


def terms_of(row: AccessCode) -> Terms:
    suspended = Suspension.objects.filter(subscription_id=row.pk).exists()
    terms = TermsRow.objects.filter(pk=row.pk).first()
    if terms is None:
        return Terms(suspended=suspended)
    return Terms(terms.version, terms.valid_until, terms.uses, suspended)


def resend_of(row: AccessCode) -> tuple[int, str | None]:
    """The latest request to mail it again, which is answered, and the address by then."""
    resend = Resend.objects.filter(pk=row.pk).first()
    return (0, None) if resend is None else (resend.answered, resend.address)
