"""What a transaction writes is sent together at its end, and still is one transaction."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import pytest
from admit_one.database import bulk, together
from admit_one.messaging import outbox
from admit_one.messaging.models import OutboxMessage
from admit_one.messaging.testing import an_envelope
from django.db import IntegrityError, connection, transaction

from tests.contract.events import AccessCodeCreated
from tests.effects import Failed, add, on_another_connection, users
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)

SET_NAME = "UPDATE tests_effect SET user_id = 'changed' WHERE user_id = %s"


@pytest.mark.parametrize("read_first", [False, True])
def test_an_exception_in_the_block_writes_nothing(read_first):
    with suppress(Failed), together.transaction():
        add("ada")
        outbox.publish(an_envelope(AccessCodeCreated))
        if read_first:
            assert users() == ["ada"]
        raise Failed

    assert (users(), OutboxMessage.objects.count()) == ([], 0)


def test_a_query_in_the_block_sees_what_was_written_before_it():
    with together.transaction():
        add("ada")
        seen = users()
        add("bob")

    assert (seen, users()) == (["ada"], ["ada", "bob"])


def test_what_the_database_fills_in_is_known_after_the_block():
    returned: list[tuple[object, ...]] = []
    with together.transaction():
        add("ada", returning=["id", "user_id"], then=returned.append)
        add("bob")

    assert returned == [(Effect.objects.get(user_id="ada").pk, "ada")]


def test_two_rows_that_the_database_completes_are_both_known_after_the_block():
    returned: list[tuple[object, ...]] = []
    with suppress(Failed), together.transaction():
        for user in ("ada", "bob"):
            add(user, returning=["user_id"], then=returned.append)
        raise Failed
    assert users() == []

    returned.clear()
    with together.transaction():
        add("ada", returning=["user_id"], then=returned.append)
        add("bob", returning=["user_id"], then=returned.append)

    assert returned == [("ada",), ("bob",)]


COPY = f"""INSERT INTO tests_effect (subscription_id, user_id)
    SELECT subscription_id, user_id || %s FROM {together.RETURNED}"""


def test_a_statement_beside_reads_what_an_insert_returns():
    with together.transaction():
        add("ada", returning=["subscription_id", "user_id"], then=lambda _: None)
        is_sent = together.insert_beside(COPY, [" again"])

    assert is_sent == (connection.vendor == "postgresql")  # SQLite has no such statements
    assert users() == ["ada", *(["ada again"] if is_sent else [])]


def test_nothing_is_sent_beside_what_returns_nothing():
    with together.transaction():
        add("ada")
        is_sent = together.insert_beside(COPY, [" again"])

    assert (is_sent, users()) == (False, ["ada"])


def test_nothing_is_sent_beside_what_was_sent_earlier():
    with together.transaction():
        add("ada", returning=["subscription_id", "user_id"], then=lambda _: None)
        seen = users()
        is_sent = together.insert_beside(COPY, [" again"])

    assert (is_sent, seen, users()) == (False, ["ada"], ["ada"])


def test_what_is_to_follow_the_commit_follows_it():
    seen = []
    with together.transaction():
        transaction.on_commit(lambda: seen.append(on_another_connection(users)))
        add("ada")

    assert seen == [["ada"]]


def test_nothing_follows_a_transaction_that_was_overtaken():
    followed = []
    with suppress(together.Overtaken), together.transaction():
        transaction.on_commit(lambda: followed.append("the block"))
        together.only_if(SET_NAME, ["nobody"])
        add("bob")

    assert (followed, users()) == ([], [])


@pytest.mark.parametrize("around", [together.transaction, transaction.atomic])
@pytest.mark.parametrize("before", [["ada"], []])
def test_in_a_larger_transaction_it_is_rolled_back_with_it(around, before):
    def both():
        for user in before:
            add(user)
        with together.transaction():
            add("bob")

    with suppress(Failed), around():
        both()
        raise Failed
    after_failure = users()
    with around():
        both()

    assert (after_failure, users()) == ([], [*before, "bob"])


@pytest.mark.parametrize("expected", ["ada", "somebody else"])
def test_all_depends_on_the_row_that_is_as_expected(expected):
    add("ada")
    with suppress(together.Overtaken), together.transaction():
        together.only_if(SET_NAME, [expected])
        add("bob")
        outbox.publish(an_envelope(AccessCodeCreated))

    changed = expected == "ada"
    assert users() == (["bob", "changed"] if changed else ["ada"])
    assert OutboxMessage.objects.count() == changed


def test_many_rows_are_as_atomic_as_one():
    rows = [{"subscription_id": uuid4(), "user_id": f"user-{n}"} for n in range(3)]
    with suppress(Failed), together.transaction():
        add("ada")
        bulk.insert(Effect, rows)
        raise Failed
    after_failure = users()
    with together.transaction():
        add("ada")
        bulk.insert(Effect, rows)

    assert (after_failure, users()) == ([], ["ada", "user-0", "user-1", "user-2"])


def test_what_waits_goes_with_its_savepoint_and_nothing_else():
    add("ada")
    known = Effect.objects.get().pk
    with together.transaction():
        add("bob")
        with suppress(Failed, IntegrityError), transaction.atomic():  # SQLite sends it at once
            bulk.insert(Effect, [{"id": known, "subscription_id": uuid4(), "user_id": "cyd"}])
            raise Failed

    assert users() == ["ada", "bob"]


def test_a_transaction_marked_for_rollback_writes_nothing():
    with together.transaction():
        add("ada")
        transaction.set_rollback(True)

    assert users() == []


def test_two_rows_that_the_database_completes_may_depend_on_another():
    add("ada")
    returned: list[tuple[object, ...]] = []
    with together.transaction():
        together.only_if(SET_NAME, ["ada"])
        for user in ("bob", "cyd"):
            add(user, returning=["user_id"], then=returned.append)

    assert (users(), returned) == (["bob", "changed", "cyd"], [("bob",), ("cyd",)])
