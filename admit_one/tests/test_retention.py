"""Old, finished rows are deleted; open or recent rows are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.messaging import retention
from admit_one.messaging.models import InboxMessage, OutboxMessage, SetAside
from django.core.management import call_command
from django.db.models.functions import Now

pytestmark = pytest.mark.django_db


def ago(days):
    return Now() - timedelta(days=days)


@pytest.fixture
def rows():
    for name, published in (("unsent", None), ("young", ago(44)), ("old", ago(46))):
        row = OutboxMessage.objects.create(event_id=name, type="t", subject="s", body=b"")
        OutboxMessage.objects.filter(id=row.id).update(created_at=ago(400), published_at=published)
    for name, days in (("young", 89), ("old", 91)):
        InboxMessage.objects.create(
            event_id=name, source="s", type="t", subject="s", fingerprint=b""
        )
        InboxMessage.objects.filter(event_id=name).update(received_at=ago(days))
    for state in SetAside.State.values:
        for days in (44, 46):
            closed = ago(days) if state in {"replayed", "discarded", "erased"} else None
            SetAside.objects.create(state=state, delivery=f"{state}-{days}", body=b"")
            SetAside.objects.filter(delivery=f"{state}-{days}").update(
                created_at=ago(400), closed_at=closed
            )


@pytest.mark.usefixtures("rows")
def test_only_closed_rows_past_their_retention_are_deleted():
    counts = retention.prune()

    assert counts == {"outbox": 1, "inbox": 1, "set_aside": 3}
    assert set(OutboxMessage.objects.values_list("event_id", flat=True)) == {"unsent", "young"}
    assert set(InboxMessage.objects.values_list("event_id", flat=True)) == {"young"}
    left = set(SetAside.objects.values_list("delivery", flat=True))
    assert left == {
        "retrying-44",
        "retrying-46",
        "dead-44",
        "dead-46",
        "replayed-44",
        "discarded-44",
        "erased-44",
    }


@pytest.mark.usefixtures("rows")
def test_a_dry_run_counts_and_deletes_nothing(capsys):
    call_command("prune_messages", "--dry-run")

    assert capsys.readouterr().out.splitlines() == [
        "outbox             1 would be deleted",
        "inbox              1 would be deleted",
        "set_aside          3 would be deleted",
    ]
    assert (OutboxMessage.objects.count(), SetAside.objects.count()) == (3, 10)


@pytest.mark.usefixtures("rows")
def test_the_command_reports_what_it_deleted(capsys):
    call_command("prune_messages")

    assert "set_aside          3 deleted" in capsys.readouterr().out
    assert SetAside.objects.count() == 7


def test_more_rows_than_one_delete_takes_are_all_deleted(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(10):
        OutboxMessage.objects.create(event_id=number, type="t", subject="s", body=b"")
    OutboxMessage.objects.update(created_at=ago(47), published_at=ago(46))

    assert retention.prune()["outbox"] == 10


def test_young_rows_are_not_read_however_many_there_are(monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(60):
        OutboxMessage.objects.create(event_id=number, type="t", subject="s", body=b"")
    OutboxMessage.objects.filter(event_id__in=range(4)).update(
        created_at=ago(47), published_at=ago(46)
    )

    with django_assert_max_num_queries(10):
        counts = retention.prune()

    assert counts["outbox"] == 4
    assert OutboxMessage.objects.count() == 56
