"""A retry that a kill, a stop or an outage cuts short: what counts against the message."""

from __future__ import annotations

from contextlib import suppress

import pytest
from admit_one.database import outage
from admit_one.messaging import conf
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import retrying
from django.db import OperationalError

from tests.set_aside.steps import kept, make_due, retry, seconds_until_next

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_retry_is_counted_before_it_is_made(handle):
    """What the handler sees is what a process killed in it leaves behind."""
    seen = []

    def look(messages):
        row = SetAside.objects.get()
        seen.append((row.attempts, seconds_until_next(row) > 20))
        raise ValueError

    handle(look)
    kept()

    retry()

    assert seen == [(1, True)]


def test_a_retry_is_committed_before_it_is_made(handle):
    def die(messages):
        raise Killed

    handle(die)
    kept()

    with pytest.raises(Killed):
        retry()

    assert SetAside.objects.get().attempts == 1


class Killed(BaseException):
    """As good as a kill: nothing of ours catches it."""


def test_a_message_killing_its_process_twice_at_its_last_retry_is_dead(handle):
    tried = []

    def die(messages):
        tried.append(1)
        raise Killed

    handle(die)
    kept()
    SetAside.objects.update(attempts=3)
    for _ in range(2):
        with pytest.raises(Killed):
            retry()

    retry()

    row = SetAside.objects.get()
    assert (row.state, len(tried)) == ("dead", 2)
    assert row.reason == "the process ended during attempts 4 and 5"


def test_a_last_retry_cut_short_by_outage_or_stop_is_repeated():
    kept()
    SetAside.objects.update(attempts=3)
    make_due()
    steps = []

    def only_the_claim_works(step):
        steps.append(step)
        if len(steps) > 1:
            raise outage.NotNow
        return step()

    with pytest.raises(outage.NotNow):
        retrying.retry_one(conf.handlers(), only_the_claim_works)

    retry()

    row = SetAside.objects.get()
    assert (row.state, row.attempts, row.unanswered) == ("replayed", 5, 0)


def test_fewer_retries_after_a_deploy_do_not_count_as_process_deaths(messaging):
    kept()
    SetAside.objects.update(attempts=3)
    messaging(RETRY_DELAYS=(1, 1))

    retry()

    assert SetAside.objects.get().state == "replayed"


def test_a_short_database_outage_uses_no_retry(handle):
    """The step is repeated by whoever can tell an outage from a fault; the try is the same one."""
    failures = [OperationalError("gone"), OperationalError("gone")]

    def once_back(messages):
        if failures:
            raise failures.pop()

    def until_it_works(step):
        while True:
            with suppress(OperationalError):
                return step()

    handle(once_back)
    kept()
    make_due()

    assert retrying.retry_one(conf.handlers(), until_it_works)

    row = SetAside.objects.get()
    assert (row.state, row.attempts, len(row.history)) == ("replayed", 1, 2)


def test_a_long_database_outage_does_not_count_against_the_message():
    kept()
    make_due()

    steps = []

    def only_the_claim_works(step):
        steps.append(step)
        if len(steps) > 1:
            raise outage.NotNow
        return step()

    with pytest.raises(outage.NotNow):
        retrying.retry_one(conf.handlers(), only_the_claim_works)

    assert len(steps) == 2  # the claim and the try, and no note of a failure
    assert SetAside.objects.get().error == "Transient"
