"""When a transaction begins on PostgreSQL: with its first statement, which may be the only one."""

from __future__ import annotations

import threading
from contextlib import suppress
from uuid import uuid4

import pytest
from admit_one.database import prepared, together
from django.db import DatabaseError, OperationalError, connection, transaction

from tests.effects import Failed, add, on_another_connection, users
from tests.models import Effect

INSERT = "INSERT INTO tests_effect (subscription_id, user_id) VALUES (%s, %s)"

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


def kill_this_session():
    process = connection.connection.info.backend_pid

    def kill():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])

    on_another_connection(kill)


def test_a_connection_that_died_fails_and_the_next_transaction_writes():
    users()
    kill_this_session()
    with pytest.raises(OperationalError), together.transaction():
        add("ada")
    connection.close_if_unusable_or_obsolete()
    with together.transaction():
        add("bob")

    assert users() == ["bob"]


def test_a_transaction_of_which_the_server_knows_nothing_proves_no_connection():
    """Its end does not take back that an error has occurred."""
    users()
    kill_this_session()
    with suppress(OperationalError), together.transaction():
        add("ada")
    connection.close_if_unusable_or_obsolete()

    assert connection.connection is None


@pytest.mark.parametrize("cursor_of", [connection.cursor, prepared.cursor])
@pytest.mark.parametrize("block", [transaction.atomic, together.transaction])
def test_a_cursor_that_is_older_than_a_transaction_writes_in_it(cursor_of, block):
    with cursor_of() as cursor, suppress(Failed), block():
        cursor.execute(INSERT, [uuid4(), "ada"])
        raise Failed
    with cursor_of() as cursor, suppress(Failed), block():
        cursor.executemany(INSERT, [(uuid4(), "ada"), (uuid4(), "bob")])
        raise Failed

    assert users() == []


def test_a_cursor_that_is_older_than_a_transaction_locks_until_its_end():
    add("ada")

    def unlocked():
        with connection.cursor() as other:
            other.execute("SELECT user_id FROM tests_effect FOR UPDATE SKIP LOCKED")
            return other.fetchall()

    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SELECT 1 FROM tests_effect FOR UPDATE")
        during = on_another_connection(unlocked)

    assert (during, on_another_connection(unlocked)) == ([], [("ada",)])


@pytest.mark.parametrize("begin", [True, False])
def test_each_statement_of_a_cursor_sees_what_was_written_before_it(begin):
    with together.transaction(), prepared.cursor(begin=begin) as cursor:
        cursor.execute("SELECT 1")
        add("ada")
        cursor.execute("SELECT user_id FROM tests_effect")

        assert cursor.fetchall() == [("ada",)]


@pytest.fixture
def by_hand():
    """Transactions are begun and ended by hand."""
    users()
    transaction.set_autocommit(False)
    yield
    transaction.set_autocommit(True)


@pytest.mark.usefixtures("by_hand")
def test_what_is_sent_together_belongs_to_a_transaction_begun_by_hand():
    with together.transaction():
        add("ada")
    transaction.rollback()

    assert users() == []
    transaction.rollback()


@pytest.mark.usefixtures("by_hand")
def test_a_transaction_that_is_begun_twice_is_one():
    add("ada")
    with suppress(DatabaseError):
        transaction.set_autocommit(False)
    transaction.commit()

    assert on_another_connection(users) == ["ada"]


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
def test_a_statement_that_takes_too_long_writes_nothing(setting):
    add("ada")
    with connection.cursor() as cursor:
        cursor.execute(f"SET {setting} = 300")
    locked, go_on = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(Effect.objects.select_for_update())
            locked.set()
            go_on.wait(30)

    holder = threading.Thread(target=on_another_connection, args=[hold])
    holder.start()
    assert locked.wait(30)
    with suppress(OperationalError), together.transaction():
        together.only_if("UPDATE tests_effect SET user_id = %s WHERE user_id = 'ada'", ["bob"])
        add("cyd")
    go_on.set()
    holder.join()

    assert users() == ["ada"]
    connection.close()
