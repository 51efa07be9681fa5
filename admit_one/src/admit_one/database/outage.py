"""Whose fault is a failure: the message's, or the world's? Nobody guesses, we ask the world.

The class of a database error does not tell: a deadlock and an outage are both OperationalError,
and a fail-over to a read-only server is an InternalError.
"""

from __future__ import annotations

import time
from contextlib import suppress

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections
from uuid_utils import uuid7

DATABASE_ERRORS = (DatabaseError, InterfaceError)


class LetGo(Exception):
    """What is held cannot be handled now, through no fault of its own: the broker gets it back."""


def database_works() -> bool:
    """Whether a small write succeeds on a new connection. It is rolled back."""
    probe = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        with probe.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "INSERT INTO messaging_inbox"
                " (source, event_id, type, subject, fingerprint, received_at)"
                " VALUES ('probe', %s, 'probe', 'probe', %s, CURRENT_TIMESTAMP)",
                [str(uuid7()), b""],
            )
            cursor.execute("ROLLBACK")
    except DATABASE_ERRORS:
        return False
    finally:
        with suppress(*DATABASE_ERRORS):
            probe.close()
    return True


def forget_connection() -> None:
    """Drop this thread's database connection; the next query makes a new one."""
    with suppress(*DATABASE_ERRORS):
        connection.close()


def refresh_connection() -> None:
    """Before each unit of work: drop a connection that is too old.

    Django would ask first whether it still works, with somebody waiting. The first statement
    tells, and relay and consumer begin their work anew when it fails.
    """
    if connection.close_at is not None and time.monotonic() >= connection.close_at:
        connection.close()
