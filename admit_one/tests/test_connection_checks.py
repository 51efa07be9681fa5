"""Before the first query of a request, a connection is checked, mostly without a query."""

from __future__ import annotations

import math
from typing import Any

import pytest
from django.db import DataError, connections, transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def used():
    """A connection of an earlier request, checked just now, and its process on the server."""
    database: Any = connections["default"]
    database.health_check_enabled = True
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        process = cursor.fetchone()[0]
    database.close_if_unusable_or_obsolete()
    database._proved_at = math.inf  # just now, however slow this machine is
    yield database, process
    database.close()


def queries(database, monkeypatch):
    asked = []
    raw = database.connection

    def cursor():
        asked.append("a query")
        return type(raw).cursor(raw)

    monkeypatch.setattr(raw, "cursor", cursor)
    return asked


def test_a_health_check_within_a_second_asks_the_server_nothing(used, monkeypatch):
    database, _ = used
    asked = queries(database, monkeypatch)

    assert (database.is_usable(), len(asked)) == (True, 0)
    database._proved_at = -math.inf
    assert (database.is_usable(), len(asked)) == (True, 1)


def test_after_an_error_a_health_check_asks_the_server(used, monkeypatch):
    database, _ = used
    asked = queries(database, monkeypatch)
    database.errors_occurred = True

    assert (database.is_usable(), len(asked)) == (True, 1)


def test_a_failed_transaction_is_not_taken_for_a_usable_connection(used):
    database, _ = used
    with transaction.atomic():
        with pytest.raises(DataError), database.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

        assert not database.is_usable()
        transaction.set_rollback(True)


def test_a_session_that_the_server_ended_is_replaced_before_it_is_used(used):
    database, process = used
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
        assert cursor.fetchone() == (True,)
    other.close()

    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] != process
