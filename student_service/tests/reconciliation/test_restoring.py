"""The student side restores lost codes from the payment side."""

from __future__ import annotations

import pytest
from access_codes.models import AccessCode, MailIntent
from admit_one.contract.envelope import Envelope
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from shared_contracts.events import AccessCodeRestored, UserSubscribed

from tests.reconciliation.steps import CODE, a_run, issued, report, reported

pytestmark = pytest.mark.django_db


def test_a_lost_code_is_restored_unchanged_and_not_mailed_again() -> None:
    known = an_envelope(AccessCodeRestored, access_code=CODE)
    deliver(known)

    row, mail = AccessCode.objects.get(), MailIntent.objects.get()
    assert (row.code, row.issued_at, row.occurred_at) == (
        CODE,
        known.data.issued_at,
        known.data.occurred_at,
    )
    assert (mail.state, mail.address) == (MailIntent.State.UNKNOWN, known.data.email)
    assert not MailIntent.objects.due().exists()
    assert [grant.access_code for grant in reported()] == [CODE]


def test_a_later_request_is_answered_with_the_restored_code() -> None:
    known = an_envelope(AccessCodeRestored, access_code=CODE)
    deliver(known, Envelope.of(known.data))
    deliver(an_envelope(UserSubscribed, subscription_id=known.data.subscription_id))

    assert published()[-1].data.access_code == CODE
    assert MailIntent.objects.count() == 1


def test_an_existing_code_is_kept_and_reported() -> None:
    [subscription] = issued(1)
    here = AccessCode.objects.get().code
    known = an_event(
        AccessCodeRestored,
        run_id=a_run(),
        subscription_id=subscription,
        access_code=CODE,
        amount=1,
    )
    deliver(Envelope.of(known))
    report()

    assert (AccessCode.objects.get().code, AccessCode.objects.get().amount) == (here, 4900)
    assert MailIntent.objects.count() == 1
    assert [grant.access_code for grant in reported()] == [here]


def test_the_language_of_its_mails_comes_and_goes_with_it() -> None:
    deliver(an_envelope(AccessCodeRestored, access_code=CODE, language="de"))

    assert AccessCode.objects.get().language == "de"
    assert [grant.language for grant in reported()] == ["de"]


def test_no_code_and_no_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    deliver(an_envelope(AccessCodeRestored, access_code=CODE))

    assert "restored 1 lost codes" in caplog.text
    assert CODE not in caplog.text
    assert "ada@" not in caplog.text
