"""Runs get grants only for what was paid in the window that they compare."""

from __future__ import annotations

from datetime import timedelta

import pytest
from access_codes.models import AccessCode, AnsweredRun
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Outcome, Result
from admit_one.messaging.testing import an_envelope, an_event, deliver, published
from django.utils import timezone
from prometheus_client import REGISTRY
from shared_contracts.events import AccessCodeRestored, AccessDigestRequested, UserSubscribed
from uuid_utils.compat import uuid7

from tests.reconciliation.steps import CODE, START, a_run, ask, digests, issued, report, reported

pytestmark = pytest.mark.django_db


def refusal(outcomes: list[Outcome]) -> str:
    [outcome] = outcomes
    assert outcome.result == Result.REJECTED
    return str(outcome.error)


def answered() -> float:
    return REGISTRY.get_sample_value("access_codes_runs_total") or 0.0


@pytest.mark.django_db(transaction=True)
def test_each_run_is_one_warning_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    issued(5)
    before = answered()
    run = uuid7()
    [first] = digests(run_id=run)
    digests(run_id=run, after=first.next)
    a_run()

    assert answered() - before == 2
    warnings = [r.message for r in caplog.records if "compares what was paid" in r.message]
    assert [text for text in warnings if str(run) in text] == [
        "the payment side compares what was paid from 2026-01-02 00:00:00Z until before "
        f"2026-01-03 00:00:00Z: run {run}"
    ]
    assert len(warnings) == 2


def test_a_run_that_compared_nothing_is_reported_nothing() -> None:
    ids = issued(2)

    assert "has compared nothing here" in refusal(ask(uuid7(), ids))
    assert report() == []


def test_a_subscription_outside_the_window_of_its_run_is_not_reported_and_nor_are_the_others() -> (
    None
):
    first, last = issued(2)
    run = a_run(until=START + timedelta(seconds=1))

    assert "not compared the time" in refusal(ask(run, [first, last]))
    assert report() == []
    ask(run, [first])
    assert report() == [first]


def test_the_first_request_fixes_the_window_and_a_part_of_it_may_follow() -> None:
    issued(2)
    run = a_run()
    later = {"run_id": run, "limit": 2, "after": None}
    part = {"since": START + timedelta(seconds=1), "until": START + timedelta(seconds=2)}
    wider = {"since": START - timedelta(days=1), "until": START + timedelta(days=1)}
    answers = len(digests(**later, **part))

    outcomes = deliver(an_envelope(AccessDigestRequested, **{**later, **wider}))

    assert answers == 2
    assert "began with another window" in refusal(outcomes)
    assert len([m for m in published() if m.type == "access_digest"]) == 2


def test_a_window_may_be_as_long_as_any_backup_goes_back() -> None:
    [only] = issued(1)
    run = a_run(since="1970-01-01T00:00:00Z", until=timezone.now())
    ask(run, [only])

    assert report() == [only]


def test_a_window_that_ends_in_the_future_is_refused() -> None:
    late = timezone.now() + timedelta(minutes=6)
    request = an_envelope(AccessDigestRequested, since=START, until=late)

    assert "ends in the future" in refusal(deliver(request))
    assert not AnsweredRun.objects.exists()
    assert published() == []


def test_a_clock_that_is_a_little_fast_is_none_of_our_business() -> None:
    soon = timezone.now() + timedelta(minutes=4)
    [outcome] = deliver(an_envelope(AccessDigestRequested, since=START, until=soon))

    assert outcome.result == Result.HANDLED


def test_one_bad_request_does_not_stop_the_others_of_its_batch() -> None:
    run = uuid7()
    window = {"run_id": run, "since": START, "after": None}
    fine = an_envelope(AccessDigestRequested, **window, until=START + timedelta(days=1))
    wide = an_envelope(AccessDigestRequested, **window, until=START + timedelta(days=2))
    late = an_envelope(AccessDigestRequested, **window, until="9999-12-31T00:00:00Z")

    results = [outcome.result for outcome in deliver(late, fine, wide)]

    assert results == [Result.REJECTED, Result.HANDLED, Result.REJECTED]


def test_what_a_message_says_itself_is_confirmed_to_any_run_and_nothing_else_is() -> None:
    """A sender that knows code and address learns neither."""
    [subscription] = issued(1)
    theirs = AccessCode.objects.get().code
    known = an_event(AccessCodeRestored, subscription_id=subscription, access_code=theirs)
    guessed = known.model_copy(update={"access_code": CODE})
    other_address = known.model_copy(update={"email": "eve@example.com"})

    [outcome] = deliver(Envelope.of(known))
    assert outcome.result == Result.HANDLED
    assert [grant.access_code for grant in reported()] == [theirs]

    for fishing in (guessed, other_address):
        assert "has compared nothing here" in refusal(deliver(Envelope.of(fishing)))
    report()
    assert len(reported()) == 1


def test_a_payment_in_the_far_future_is_one_of_today() -> None:
    """Otherwise no window would ever contain it."""
    deliver(an_envelope(UserSubscribed, occurred_at="2099-01-01T00:00:00Z"))

    row = AccessCode.objects.get()
    assert row.occurred_at <= timezone.now() + timedelta(minutes=5)
    assert row.occurred_at > timezone.now() + timedelta(minutes=4)
