"""When a transaction begins on PostgreSQL: with its first statement, which may be the only one."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import pytest
from admit_one.database import prepared, together
from django.db import DatabaseError, OperationalError, connection, transaction

from tests.effects import Failed, add, on_another_connection, users
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


def sent_last():
    """The last statement of this session that the server was sent."""
    process = connection.connection.info.backend_pid

    def ask():
        with connection.cursor() as cursor:
            cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [process])
            return cursor.fetchone()[0]

    return on_another_connection(ask)


@pytest.fixture
def statements():
    """The statements that are executed, without BEGIN and COMMIT."""
    executed = []

    def note(execute, sql, params, many, context):
        executed.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield executed


def test_all_is_one_statement_which_needs_no_commit(statements):
    with together.transaction():
        add("ada")
        add("bob")
        before = list(statements)

    assert (before, len(statements)) == ([], 1)
    assert sent_last().startswith("WITH new_0 AS")


def test_a_transaction_that_only_read_has_not_begun():
    with together.transaction(), prepared.cursor(begin=False) as cursor:
        cursor.execute("SELECT 1")

        assert sent_last() == "SELECT 1"


def test_a_transaction_begins_with_its_first_statement():
    users()
    before = sent_last()
    with transaction.atomic():
        assert sent_last() == before
        Effect.objects.create(subscription_id=uuid4(), user_id="ada")
        elsewhere = on_another_connection(users)

    assert (elsewhere, users()) == ([], ["ada"])
    assert sent_last() != "BEGIN"


def test_an_empty_transaction_sends_nothing():
    users()
    before = sent_last()
    with transaction.atomic():
        pass
    with suppress(Failed), transaction.atomic():
        raise Failed

    assert sent_last() == before


def test_a_savepoint_is_in_the_transaction():
    with transaction.atomic():
        add("ada")
        with suppress(Failed), transaction.atomic():
            add("bob")
            raise Failed

    assert users() == ["ada"]


def test_a_cursor_of_the_server_is_in_the_transaction():
    for user in ("ada", "bob"):
        add(user)
    with transaction.atomic():
        read = [effect.user_id for effect in Effect.objects.order_by("user_id").iterator(1)]

    assert read == ["ada", "bob"]


@pytest.mark.parametrize("sent_before", [False, True])
def test_a_connection_that_was_closed_in_a_transaction_begins_none_later(sent_before):
    with suppress(DatabaseError), transaction.atomic():
        if sent_before:
            add("ada")
        connection.close()
    with suppress(Failed):
        add("bob")

    assert users() == ["bob"]
    assert on_another_connection(users) == ["bob"]


def test_a_connection_that_died_fails_and_the_next_transaction_writes():
    users()
    process = connection.connection.info.backend_pid

    def kill():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])

    on_another_connection(kill)
    with pytest.raises(OperationalError), together.transaction():
        add("ada")
    connection.close_if_unusable_or_obsolete()
    with together.transaction():
        add("bob")

    assert users() == ["bob"]
