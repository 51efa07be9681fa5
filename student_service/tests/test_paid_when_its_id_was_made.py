"""Codes of the first release, which did not keep when they were paid, get it from their ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from uuid import UUID

import pytest
from access_codes.models import AccessCode
from admit_one.messaging.testing import an_envelope, deliver
from django.core.management import call_command
from shared_contracts.events import UserSubscribed
from uuid_utils.compat import uuid7

pytestmark = pytest.mark.django_db(transaction=True)

migration = import_module("access_codes.migrations.0006_paid_when_its_id_was_made")


def of_the_first_release(*ids: UUID) -> None:
    deliver(*(an_envelope(UserSubscribed, subscription_id=one) for one in ids))
    AccessCode.objects.update(occurred_at=None, amount=None, currency=None)


def migrate() -> None:
    """As an upgrade does, also of what was upgraded and taken back before."""
    call_command("migrate", "access_codes", "0005", verbosity=0)
    call_command("migrate", "access_codes", verbosity=0)


def paid_at(subscription: UUID) -> datetime | None:
    return AccessCode.objects.get(pk=subscription).occurred_at


def test_it_was_paid_by_the_end_of_the_millisecond_of_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never before the payment: it would be looked for in the page behind the one that has it."""
    monkeypatch.setattr(migration, "BATCH", 2)
    ids = [uuid7() for _ in range(5)]
    of_the_first_release(*ids)
    migrate()

    for one in ids:
        made = datetime.fromtimestamp((one.int >> 80) // 1000, UTC)
        made += timedelta(milliseconds=(one.int >> 80) % 1000, microseconds=999)
        assert paid_at(one) == made
    order = AccessCode.objects.paid_between(
        datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
    )
    assert [row.pk for row in order] == sorted(ids)


def test_what_an_id_does_not_tell_stays_unknown() -> None:
    """One that is not made of a time, and one of a time that comes after the code."""
    by_chance = UUID(int=uuid7().int, version=4)
    from_the_future = UUID(int=uuid7().int | 0xFFFF << 112)
    of_the_first_release(by_chance, from_the_future)
    migrate()

    assert (paid_at(by_chance), paid_at(from_the_future)) == (None, None)


def test_what_is_known_stays_however_often_it_runs() -> None:
    known, unknown = uuid7(), uuid7()
    of_the_first_release(known, unknown)
    told = datetime(2026, 1, 2, tzinfo=UTC)
    AccessCode.objects.filter(pk=known).update(occurred_at=told)
    migrate()
    once = paid_at(unknown)
    migrate()

    assert (paid_at(known), paid_at(unknown)) == (told, once)
    assert once is not None
