"""What a client decides about its endpoints. Each act is on record, and none with a secret."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from admit_one.acts.models import Act
from admit_one.database import bulk, clock

from . import reporting, signing, wake
from .known import listeners
from .models import Delivery, Endpoint

MOST = 16
"""Endpoints of a client with its test keys, and as many with its others."""

TEST = "webhook.test"
"""The type of a test event, which every endpoint gets when it is asked for."""

AREA = "webhooks"
"""Of the acts that are on record."""


class NotPossible(Exception):
    """The state of the endpoint does not allow this; says what was expected."""


class Owner(NamedTuple):
    """A client, with its test keys or with the others: neither sees what the other has made."""

    client: str
    test: bool

    @property
    def person(self) -> str:
        """As acts name it."""
        return f"client {self.client}"


@transaction.atomic(savepoint=False)
def create(owner: Owner, *, url: str, events: Collection[str]) -> tuple[Endpoint, str]:
    """A new endpoint and its secret, which cannot be shown again.

    Raises `NotPossible` if there are `MOST`. Of several at the same moment, a few more may be made.
    """
    if Endpoint.objects.of(owner.client, test=owner.test).count() >= MOST:
        raise NotPossible(f"there are {MOST} endpoints: expected that one is deleted first")
    row_id, secret = uuid7(), signing.new_secret()
    endpoint = Endpoint.objects.create(
        id=row_id,
        client=owner.client,
        test=owner.test,
        url=url,
        events=sorted(set(events)),
        secret=signing.sealed(secret, row_id),
    )
    endpoint.refresh_from_db(fields=["created_at"])
    _changed(endpoint, "create", owner)
    return endpoint, secret


def find(owner: Owner, endpoint_id: UUID, *, lock: bool = False) -> Endpoint | None:
    """The owner's endpoint with this id, if there is one."""
    rows = Endpoint.objects.of(owner.client, test=owner.test)
    return (rows.select_for_update() if lock else rows).filter(pk=endpoint_id).first()


@transaction.atomic(savepoint=False)
def change(
    owner: Owner,
    endpoint_id: UUID,
    *,
    url: str | None = None,
    events: Collection[str] | None = None,
) -> Endpoint | None:
    """Change where it is, or what it listens to. None if there is no such endpoint.

    What waits for it goes to the new URL.
    """
    endpoint = find(owner, endpoint_id, lock=True)
    if endpoint is None:
        return None
    before = endpoint.url, endpoint.events
    endpoint.url = endpoint.url if url is None else url
    endpoint.events = endpoint.events if events is None else sorted(set(events))
    if (endpoint.url, endpoint.events) != before:
        if endpoint.url != before[0]:
            forgive(endpoint)  # what the old one did is nothing that the new one has done
        endpoint.save(update_fields=["url", "events"])
        _changed(endpoint, "change", owner)
    return endpoint


@transaction.atomic(savepoint=False)
def delete(owner: Owner, endpoint_id: UUID) -> bool:
    """Send nothing to it any more, and forget what waits. False if there is no such endpoint."""
    endpoint = find(owner, endpoint_id, lock=True)
    if endpoint is None:
        return False
    endpoint.deleted_at = timezone.now()
    endpoint.save(update_fields=["deleted_at"])
    _changed(endpoint, "delete", owner)
    return True


@transaction.atomic(savepoint=False)
def rotate(owner: Owner, endpoint_id: UUID) -> tuple[Endpoint, str] | None:
    """Give it another secret, which is returned; for a day, the one that it had signs, too.

    None if there is no such endpoint. If the one that it had is unreadable, it signs no more.
    """
    endpoint = find(owner, endpoint_id, lock=True)
    if endpoint is None:
        return None
    secret = signing.rotate(endpoint, timezone.now())
    endpoint.save(update_fields=["secret", "previous_secret", "previous_until"])
    _changed(endpoint, "rotate", owner)
    return endpoint, secret


@transaction.atomic(savepoint=False)
def enable(owner: Owner, endpoint_id: UUID) -> Endpoint | None:
    """Send to it again, also what has waited. None if there is no such endpoint."""
    endpoint = find(owner, endpoint_id, lock=True)
    if endpoint is not None and reenable(endpoint):
        _changed(endpoint, "enable", owner)
    return endpoint


def reenable(endpoint: Endpoint) -> bool:
    """Enable a row that is locked; false if it is enabled already."""
    if endpoint.disabled_at is None:
        return False
    endpoint.disabled_at, endpoint.disabled_reason = None, ""
    endpoint.enabled_at = clock.now()
    endpoint.save(update_fields=["disabled_at", "disabled_reason", "enabled_at"])
    forgive(endpoint)
    transaction.on_commit(listeners.forget)
    wake.worker()
    return True


def forgive(endpoint: Endpoint) -> None:
    """Forget the failures of a row that is locked."""
    endpoint.failures, endpoint.failing_since, endpoint.resume_at = 0, None, None
    endpoint.save(update_fields=["failures", "failing_since", "resume_at"])


@transaction.atomic(savepoint=False)
def send_test(owner: Owner, endpoint_id: UUID) -> Delivery | None:
    """Send a test event to it. None if there is no such endpoint.

    Raises `NotPossible` if it is disabled.
    """
    endpoint = find(owner, endpoint_id)
    if endpoint is None:
        return None
    _check_enabled(endpoint)
    body = reporting.body_of(TEST, {"endpoint_id": endpoint.pk})
    row = reporting.row(endpoint.pk, TEST, body)
    bulk.insert(Delivery, [row])
    wake.worker()
    return Delivery.objects.get(pk=row["id"])


@transaction.atomic(savepoint=False)
def resend(owner: Owner, endpoint_id: UUID, webhook_id: UUID) -> Delivery | None:
    """Send it again now, with the same webhook-id, whatever became of it before.

    None if there is no such delivery. Raises `NotPossible` if its endpoint is disabled.
    """
    endpoint = find(owner, endpoint_id)
    if endpoint is None:
        return None
    delivery = endpoint.deliveries.select_for_update().filter(pk=webhook_id).first()
    if delivery is not None:
        _check_enabled(endpoint)
        send_again(delivery)
    return delivery


def send_again(delivery: Delivery) -> None:
    """Make a row that is locked due at once, and try it for three days from now."""
    delivery.state, delivery.finished_at, delivery.tries = Delivery.State.PENDING, None, 0
    delivery.since = delivery.next_attempt_at = timezone.now() - BY_THEIR_CLOCK
    delivery.save(update_fields=["state", "finished_at", "tries", "since", "next_attempt_at"])
    wake.worker()


BY_THEIR_CLOCK = timedelta(seconds=2)
"""The database's clock says what is due, and may be a little behind ours."""


def _check_enabled(endpoint: Endpoint) -> None:
    if endpoint.disabled_at is not None:
        raise NotPossible("the endpoint is disabled: expected that it is enabled first")


def _changed(endpoint: Endpoint, action: str, owner: Owner) -> None:
    facts = {"test": endpoint.test, "events": endpoint.events}
    Act.draft(
        AREA, action, by=owner.person, target=str(endpoint.pk), subject=owner.client, facts=facts
    ).save()
    transaction.on_commit(listeners.forget)
