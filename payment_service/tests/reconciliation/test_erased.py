"""An erasure that is under way is no drift; one that has come to nothing is."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from admit_one.erasure import erasing, requests
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.messaging.tombstones import Tombstone
from django.utils import timezone
from shared_contracts.events import ERASED, AccessErased
from subscriptions.models import ReconciliationRun, Subscription
from subscriptions.reconciliation import outcome
from uuid_utils.compat import uuid7

from tests.factories import CODE

from .both_sides import compared, drift, paid

pytestmark = pytest.mark.django_db

LONG_AGO = timezone.now() - timedelta(days=1)


def erase_here(subscription: UUID) -> None:
    erasing.begin([str(subscription)], uuid7(), by="grace")
    OutboxMessage.objects.all().delete()  # what is left there is blank


def time_passes() -> None:
    Tombstone.objects.update(created_at=LONG_AGO)
    Tombstone.objects.filter(erased_at__isnull=False).update(erased_at=LONG_AGO)
    Subscription.objects.filter(erased_at__isnull=False).update(erased_at=LONG_AGO)


def kinds(run: ReconciliationRun) -> list[str]:
    return [kind for kind, _ in drift(run).values()]


@pytest.mark.parametrize("listed", [True, False])
def test_what_was_erased_here_lately_may_be_in_transit(listed: bool) -> None:
    [subscription] = paid()
    erase_here(subscription)
    theirs = {subscription: CODE} if listed else {}

    assert compared(theirs).state == ReconciliationRun.State.CLEAN
    time_passes()
    assert kinds(compared(theirs)) == ["erased_here"]


def test_what_the_other_side_has_lost_and_erased_again_is_drift_once() -> None:
    [subscription] = paid()
    erase_here(subscription)
    time_passes()
    run = compared({}, repair=True)
    deliver(an_envelope(AccessErased, subscription_id=subscription))
    outcome.close_resolved(run)

    assert drift(run) == {subscription: ("erased_here", "repaired")}
    assert compared({}).state == ReconciliationRun.State.CLEAN
    assert kinds(compared({subscription: CODE})) == ["erased_here"]


def test_what_the_other_side_asked_for_lately_is_under_way() -> None:
    [subscription] = paid()
    requests.put([str(subscription)], uuid7())

    assert (
        compared({subscription: CODE}, entry={"state": ERASED}).state
        == ReconciliationRun.State.CLEAN
    )
    time_passes()
    assert kinds(compared({subscription: CODE}, entry={"state": ERASED})) == ["erased_there"]


def test_what_the_other_side_has_erased_unheard_is_drift() -> None:
    [subscription] = paid()

    assert kinds(compared({subscription: CODE}, entry={"state": ERASED})) == ["erased_there"]
