"""PostgreSQL plans a statement that is written by hand once a session, and may change its mind."""

from __future__ import annotations

import pytest
from admit_one.database import prepared, session
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = "SELECT count(*) FROM tests_effect WHERE user_id = %s"


@pytest.fixture(autouse=True)
def checked(monkeypatch):
    """The start-up check has found that a session belongs to one connection."""
    monkeypatch.setattr(session, "pooled_by_transaction", None)
    session.check()
    yield
    connections["default"].close()


def count(user):
    with prepared.cursor() as cursor:
        cursor.execute(COUNT, [user])
        return cursor.fetchone()[0]


def plans():
    """How often each statement of this session has run that the server keeps."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements "
            "WHERE statement LIKE 'SELECT count%%'"
        )
        return [runs for (runs,) in cursor.fetchall()]


def names():
    with prepared.cursor() as cursor:
        cursor.execute("SELECT user_id FROM tests_effect WHERE user_id <> %s", ["nobody"])
        return cursor.fetchall()


def widen(to):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE tests_effect ALTER COLUMN user_id TYPE varchar({to})")


@pytest.fixture
def widened():
    """Widens a column over another connection, as a migration does; undone at the end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT character_maximum_length FROM information_schema.columns "
            "WHERE table_name = 'tests_effect' AND column_name = 'user_id'"
        )
        before = cursor.fetchone()[0]

    def widen_elsewhere():
        other = connections.create_connection("default")
        with other.cursor() as cursor:
            cursor.execute(
                f"ALTER TABLE tests_effect ALTER COLUMN user_id TYPE varchar({before + 100})"
            )
        other.close()

    yield widen_elsewhere
    connection.close()
    widen(before)


def test_a_statement_is_planned_once():
    answers = [count("nobody") for _ in range(3)]

    assert (answers, plans()) == ([0, 0, 0], [3])


def test_one_that_was_prepared_before_is_in_the_query_log():
    count("nobody")
    with CaptureQueriesContext(connection) as queries:
        count("ada")

    assert [query["sql"] for query in queries] == [COUNT.replace("%s", "$1")]


def test_nothing_is_prepared_before_the_sessions_are_checked(monkeypatch):
    monkeypatch.setattr(session, "pooled_by_transaction", None)

    count("nobody")

    assert plans() == []


def test_djangos_own_statements_are_not_prepared():
    count("nobody")
    for _ in range(10):
        Effect.objects.filter(user_id="nobody").count()

    assert plans() == [1]


def test_a_migration_that_widens_a_result_costs_one_statement(widened):
    assert names() == []
    widened()

    with pytest.raises(DatabaseError, match="must not change result type"):
        names()
    connection.close_if_unusable_or_obsolete()
    assert names() == []


def test_a_migration_that_widens_a_result_costs_one_transaction(widened):
    assert names() == []
    widened()

    with pytest.raises(DatabaseError, match="must not change result type"), transaction.atomic():
        names()
    with transaction.atomic():
        assert names() == []
