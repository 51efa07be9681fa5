"""Messages replayed on the pages for operators."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.acts.models import Act
from admit_one.database import outage
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import bulk_replay
from admit_one.messaging.set_aside.replay import replay
from admit_one.operators import order_page
from admit_one.sealing import canaries
from django.db import OperationalError
from django.db.models.functions import Now

from tests.models import Effect
from tests.operators.steps import order, text
from tests.set_aside_rows import fail, keep, keep_unreadable, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rehearsal_shows_the_outcome_and_changes_nothing(operator, handle):
    keep(5)
    handle(fail)
    keep_unreadable()

    said = order(operator, "replay", "all=1", rehearse="yes")

    assert "6 of 6 messages tried and rolled back: nothing has changed" in said
    assert "5 would fail again (ValueError in set_aside_rows.fail)" in said
    assert states() == ["dead"] * 6
    assert Act.objects.count() == 0


def test_a_rehearsal_that_runs_out_of_time_says_so(operator, monkeypatch):
    keep(5)
    monkeypatch.setattr(order_page, "PATIENCE", -1.0)

    said = order(operator, "replay", "all=1", rehearse="yes")

    assert "1 of 5 messages tried and rolled back" in said
    assert "There was no time for the others" in said


def test_replaying_a_group_closes_it_and_records_the_operator(operator):
    keep(30)
    other = keep_unreadable()

    said = order(operator, "replay", "group=Transient&state=dead", reason="mended")

    assert "30 of 30 messages replayed 30 applied Nothing is left to do." in said
    assert SetAside.objects.get(state="dead").id == other.id
    assert Effect.objects.count() == 30
    acts = set(Act.objects.values_list("by", "reason", "result"))
    assert acts == {("ada (admin)", "mended", "applied")}
    assert "30 acts" in text(operator.get("/acts/act/"))


def test_a_replay_stops_and_says_so_if_too_many_fail(operator, handle):
    keep(40)
    handle(fail)

    said = order(operator, "replay", "all=1")

    assert "It stopped: 1 of a batch of 1 failed again" in said
    assert "39 are unchanged." in said


def test_repeating_an_order_continues_where_the_page_ran_out_of_time(operator, monkeypatch):
    keep(5)
    monkeypatch.setattr(order_page, "PATIENCE", -1.0)

    first = order(operator, "replay", "all=1")
    monkeypatch.undo()
    second = order(operator, "replay", "all=1")

    assert "1 of 5 messages replayed" in first
    assert "4 are left, because a page has limited time" in first
    assert "4 of 4 messages replayed" in second
    assert Effect.objects.count() == 5


def test_replaying_a_handled_message_requires_again_and_a_reason(operator):
    row = keep()
    order(operator, "replay", f"ids={row.id}")

    assert "1 not tried" in order(operator, "replay", f"ids={row.id}")
    assert "give a reason" in order(operator, "replay", f"ids={row.id}", again="on")
    assert Effect.objects.count() == 1
    assert "1 applied" in order(
        operator, "replay", f"ids={row.id}", again="on", reason="restored a backup"
    )
    assert Effect.objects.count() == 2


def test_repeating_an_order_applies_a_message_once_per_reason(operator, monkeypatch):
    keep(5)
    order(operator, "replay", "all=1")
    again = {"again": "on", "reason": "restored a backup"}
    monkeypatch.setattr(order_page, "PATIENCE", -1.0)
    for _ in range(3):
        order(operator, "replay", "all=1&state=replayed", **again)
    monkeypatch.undo()

    for _ in range(2):
        order(operator, "replay", "all=1&state=replayed", **again)

    assert Effect.objects.count() == 10
    order(operator, "replay", "all=1&state=replayed", again="on", reason="another backup")
    assert Effect.objects.count() == 15


def test_messages_that_cannot_be_replayed_do_not_block_the_others(operator, monkeypatch):
    keep(3)
    SetAside.objects.update(created_at=Now() - timedelta(days=100))
    keep(2)
    monkeypatch.setattr(order_page, "PATIENCE", -1.0)

    order(operator, "replay", "group=Transient")
    said = order(operator, "replay", "group=Transient")

    assert "1 of 1 messages replayed 1 applied" in said
    assert "3 others are not tried: handled already, discarded, or older" in said
    assert Effect.objects.count() == 2


@pytest.mark.parametrize(
    "error", [outage.NotNow("the database is unavailable"), OperationalError("gone")]
)
def test_an_outage_during_an_order_is_reported_with_the_work_done(operator, monkeypatch, error):
    keep(3)

    def once(row_id, order):
        if Effect.objects.exists():
            raise error
        return replay(row_id, order)

    monkeypatch.setattr(bulk_replay, "replay", once)
    said = order(operator, "replay", "all=1")

    assert "It stopped: the database is unavailable" in said
    assert "1 of 3 messages replayed 1 applied" in said
    assert "2 are unchanged." in said


def test_a_replay_with_the_wrong_sealing_key_is_refused(operator, messaging):
    keep()
    canaries.check()
    messaging(SEALING_KEYS={"k1": b"x" * 32})

    said = order(operator, "replay", "all=1")

    assert "It stopped: " in said
    assert "SEALING_KEYS" in said
    assert states() == ["dead"]
