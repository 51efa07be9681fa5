"""Steps that the tests of reconciliation share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from access_codes import tasks
from access_codes.models import AccessCode, AnsweredRun, HourOfGrants
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Outcome
from admit_one.messaging.testing import an_envelope, deliver, published
from admit_one.sealing import cipher
from django.db.models import F
from shared_contracts.events import (
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    UserSubscribed,
)
from uuid_utils.compat import uuid7

START = datetime(2026, 1, 2, tzinfo=UTC)
CODE = "7K3M-Q9TX-2WBD-H5RN"


def issued(count: int, **changes: Any) -> list[UUID]:
    """Issue codes for subscriptions paid one second apart; returns their ids."""
    requests = [
        an_envelope(UserSubscribed, occurred_at=START + timedelta(seconds=n), **changes)
        for n in range(count)
    ]
    deliver(*requests)
    return [request.data.subscription_id for request in requests]


def digests(**changes: Any) -> list[AccessDigest]:
    """Request a page of two entries; returns all answers so far."""
    window = {"since": START, "until": START + timedelta(days=1), "limit": 2, "after": None}
    deliver(an_envelope(AccessDigestRequested, **{**window, **changes}))
    return [m.data for m in published() if isinstance(m.data, AccessDigest)]


def a_run(**window: Any) -> UUID:
    """The id of a run that has compared what `issued` makes."""
    run = uuid7()
    digests(run_id=run, **window)
    return run


def ask(run: UUID, subscriptions: Sequence[UUID]) -> list[Outcome]:
    """Request the grants of these subscriptions in a message."""
    event = AccessGrantsRequested(run_id=run, subscription_ids=tuple(subscriptions))
    return deliver(Envelope.of(event))


def report() -> list[UUID]:
    """Report what may be reported now; returns the subscriptions of all grants so far."""
    tasks.report_grants()
    return [grant.subscription_id for grant in reported()]


def an_hour_later() -> None:
    """Let all that happened here be an hour older."""
    hour = timedelta(hours=1)
    for share in HourOfGrants.objects.order_by("hour"):
        HourOfGrants.objects.filter(pk=share.pk).update(hour=F("hour") - hour)
    for name in ("waits_since", "delayed_until", "answered_at"):
        AnsweredRun.objects.update(**{name: F(name) - hour})


def reported() -> list[AccessGrantReported]:
    return [m.data for m in published() if isinstance(m.data, AccessGrantReported)]


def make_unsealable(subscription: UUID) -> None:
    AccessCode.objects.filter(pk=subscription).update(sealed_code=cipher.seal(b"", "outbox", "1"))
