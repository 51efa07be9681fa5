"""Set-based writes do on both databases what their callers rely on."""

from __future__ import annotations

from uuid import UUID

import pytest
from admit_one.database.bulk import existing, insert_new, update_from
from admit_one.messaging.models import InboxMessage, SetAside
from django.db import DatabaseError, connection

from tests.models import Effect

pytestmark = pytest.mark.django_db

UNIQUE = ("event_id", "source")


def inbox_row(number, **changes):
    return {
        "event_id": f"event-{number:05}",
        "source": "/payment_service",
        "type": "user_subscribed",
        "subject": "somebody",
        "fingerprint": b"\0\xff",
    } | changes


def insert(rows):
    return set(insert_new(InboxMessage, rows, conflict=UNIQUE, returning=UNIQUE))


def test_only_new_rows_are_inserted_and_returned():
    first = insert([inbox_row(1), inbox_row(2)])
    second = insert([inbox_row(2, subject="changed"), inbox_row(3)])

    assert first == {("event-00001", "/payment_service"), ("event-00002", "/payment_service")}
    assert second == {("event-00003", "/payment_service")}
    assert InboxMessage.objects.get(event_id="event-00002").subject == "somebody"


def test_a_repeated_row_is_inserted_once():
    inserted = insert_new(
        InboxMessage, [inbox_row(1), inbox_row(1)], conflict=UNIQUE, returning=("id",)
    )

    assert len(inserted) == 1


def test_inserting_no_rows_does_nothing():
    assert insert([]) == set()


def test_more_rows_than_one_statement_holds_are_all_inserted():
    """5 parameters a row: SQLite takes 32,766 in a statement, PostgreSQL 65,535."""
    inserted = insert([inbox_row(number) for number in range(14_000)])

    assert len(inserted) == 14_000
    assert InboxMessage.objects.count() == 14_000


def test_inserted_rows_return_python_values_with_database_defaults():
    insert([inbox_row(1)])

    row = InboxMessage.objects.get()

    assert bytes(row.fingerprint) == b"\0\xff"
    assert row.received_at.tzinfo is not None


@pytest.fixture
def effects():
    ids = [UUID(int=n) for n in range(3)]
    Effect.objects.bulk_create([Effect(subscription_id=i, user_id="old") for i in ids])
    return ids


def set_aside_rows():
    rows = [
        SetAside(delivery=f"d{n}", state="dead", error="E", reason="", fingerprint="", body=b"")
        for n in range(3)
    ]
    SetAside.objects.bulk_create(rows)


def test_an_update_changes_only_the_named_rows_and_returns_their_keys():
    set_aside_rows()
    rows = [{"delivery": f"d{n}", "reason": f"reason {n}", "attempts": n} for n in (0, 2, 7)]

    changed = update_from(SetAside, rows, key="delivery", only_where_null="closed_at")

    assert sorted(changed) == ["d0", "d2"]
    values = SetAside.objects.order_by("delivery").values_list("delivery", "reason", "attempts")
    assert list(values) == [("d0", "reason 0", 0), ("d1", "", 0), ("d2", "reason 2", 2)]


def test_an_update_skips_rows_whose_column_is_already_set():
    set_aside_rows()
    now = SetAside.objects.get(delivery="d0").created_at
    rows = [{"delivery": "d1", "reason": "first", "closed_at": now}]
    update_from(SetAside, rows, key="delivery", only_where_null="closed_at")

    rows = [{"delivery": "d1", "reason": "second", "closed_at": now}]
    changed = update_from(SetAside, rows, key="delivery", only_where_null="closed_at")

    assert changed == []
    assert SetAside.objects.get(delivery="d1").reason == "first"
    assert SetAside.objects.get(delivery="d1").closed_at == now


def test_an_update_returns_further_fields_of_the_rows_that_it_changed():
    set_aside_rows()
    rows = [{"delivery": f"d{n}", "reason": f"reason {n}"} for n in (0, 7)]

    changed = update_from(SetAside, rows, key="delivery", returning=["state", "reason"])

    assert changed == [("d0", "dead", "reason 0")]


def test_an_update_takes_and_returns_uuid_keys(effects):
    rows = [{"subscription_id": effects[1], "user_id": "new"}]

    changed = update_from(Effect, rows, key="subscription_id", only_where_null="id")

    assert changed == []  # the guard field holds a value


def test_existing_keys_are_those_that_have_a_row():
    insert([inbox_row(1), inbox_row(2)])
    known = set(InboxMessage.objects.values_list("pk", flat=True))

    assert existing(InboxMessage, [*known, max(known) + 1]) == known
    assert existing(InboxMessage, []) == set()


def test_values_are_converted_as_their_field_converts_them(effects):
    ids = [str(effects[0]), effects[1]]

    changed = update_from(
        Effect,
        [{"subscription_id": i, "user_id": n} for n, i in enumerate(ids)],
        key="subscription_id",
    )

    assert sorted(changed) == effects[:2]
    assert list(Effect.objects.order_by("subscription_id").values_list("user_id", flat=True)) == [
        "0",
        "1",
        "old",
    ]


@pytest.mark.parametrize("others", [0, 1])
def test_nulls_large_numbers_choices_and_json_survive_unchanged(others):
    row = {
        "delivery": "d",
        "state": SetAside.State.DEAD,
        "error": "E",
        "reason": "a 'quoted' \\ é",
        "fingerprint": "",
        "body": b"\0\xff",
        "headers": {"a": ["é", None, 1]},
        "attempts": 2**31 - 1,
        "next_attempt_at": None,
        "suspect": True,
    }
    defaults = {"queue": "", "source": "", "event_id": "", "type": "", "subject": ""}
    rows = [row | defaults | {"traceback": "", "history": []}]
    rows += [rows[0] | {"delivery": "e", "attempts": 0}] * others

    insert_new(SetAside, rows, conflict=["delivery"], returning=["id"])

    written = SetAside.objects.get(delivery="d")
    assert {name: getattr(written, name) for name in row} == row
    assert list(SetAside.objects.filter(delivery="e").values_list("attempts")) == [(0,)] * others


def test_too_long_a_text_is_refused_and_never_cut():
    if connection.vendor == "sqlite":  # it has no lengths
        insert([inbox_row(1, type="x" * 256)])

        assert InboxMessage.objects.get().type == "x" * 256
        return
    with pytest.raises(DatabaseError):
        insert([inbox_row(1, type="x" * 256)])
