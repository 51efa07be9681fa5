"""The name of this module is Django's: `ENGINE` names the package around it."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import pq

from admit_one.database import prepared, session
from admit_one.database.together import Writes

READ_ONLY = "25006"
"""SQLSTATE of a write on a server that only reads: a standby, or one that was the primary."""


IDLE = pq.TransactionStatus.IDLE

PROOF_LASTS = 1.0
"""Seconds from a health check that asked the server until another one does."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections are set up when they are made, and dropped once they cannot write.

    A transaction begins with its first statement, which may be the only one: see `together`.
    For that it overrides undocumented methods of Django; `test_beginning_later` fails if these
    change.
    """

    _proved_at = -PROOF_LASTS

    begins_later = False
    """Whether a transaction is open of which the server does not know yet."""

    writes: Writes | None = None
    """What `together.transaction` has not sent yet."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.begins_later = False
        return super().get_new_connection(conn_params)

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit and self.begins_later:
            self.begins_later = False
        elif autocommit or not self.connection.autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
        else:
            self.begins_later = True

    def begin(self) -> None:
        """Before a statement: begin the transaction if need be, and send what was written."""
        if self.begins_later:
            self.begins_later = False
            super()._set_autocommit(autocommit=False)  # type: ignore[misc]
        if self.writes:
            self.writes.send()

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        return _Cursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        return _DebugCursor(cursor, self)

    def chunked_cursor(self) -> Any:
        self.ensure_connection()
        self.begin()  # a cursor of the server belongs to the transaction in which it is made
        return super().chunked_cursor()

    def commit(self) -> None:
        with self._still_in_doubt():
            super().commit()

    def rollback(self) -> None:
        with self._still_in_doubt():
            super().rollback()

    @contextmanager
    def _still_in_doubt(self) -> Iterator[None]:
        """An end of which the server knows nothing is no proof that the connection works."""
        errors_occurred = self.begins_later and self.errors_occurred
        yield
        self.errors_occurred = self.errors_occurred or errors_occurred

    def _commit(self) -> None:
        if not self.begins_later:
            super()._commit()  # type: ignore[misc]

    def _rollback(self) -> None:
        if not self.begins_later:
            super()._rollback()  # type: ignore[misc]

    def _savepoint_rollback(self, sid: str) -> None:
        if self.writes is not None:
            self.writes.forget()  # the savepoint has sent those before it
        super()._savepoint_rollback(sid)  # type: ignore[misc]

    def init_connection_state(self) -> None:
        try:
            super().init_connection_state()
            session.configure(self.connection)
        except BaseException:
            # Django would use it all the same.
            raw, self.connection = self.connection, None
            raw.close()
            raise

    @contextmanager
    def _nodb_cursor(self) -> Iterator[Any]:
        """With it `manage.py test` makes and drops a database, which waits for a checkpoint."""
        with super()._nodb_cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            yield cursor

    def is_usable(self) -> bool:
        """Whether the server answers, which Django checks before the first query of each request.

        Within a second of the last query for it, a connection is as usable as its socket looks:
        a server that ends a session says so, or closes it.
        """
        now = time.monotonic()
        if now - self._proved_at < PROOF_LASTS and not self.errors_occurred and self._is_quiet():
            return True
        usable: bool = super().is_usable()
        if usable:
            self._proved_at = now
        return usable

    def _is_quiet(self) -> bool:
        """Whether no transaction is open, and the server has sent nothing since, nor closed."""
        if self.connection is None:
            return False
        if self.connection.pgconn.transaction_status != IDLE:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)

    @cached_property
    def wrap_database_errors(self) -> Any:
        return _Errors(self)


class _BeginsFirst(CursorWrapper):
    """A cursor may be older than its transaction, so each statement begins it if need be."""

    db: DatabaseWrapper
    only_reads = False
    """Whether its statements lock and write nothing, so that they need no transaction."""

    def execute(self, *args: Any, **options: Any) -> Any:
        self._begin()
        return super().execute(*args, **options)

    def executemany(self, *args: Any, **options: Any) -> Any:
        self._begin()
        return super().executemany(*args, **options)

    def callproc(self, *args: Any, **options: Any) -> Any:
        self._begin()
        return super().callproc(*args, **options)

    def copy(self, *args: Any, **options: Any) -> Any:
        self._begin()
        return self.cursor.copy(*args, **options)

    def stream(self, *args: Any, **options: Any) -> Any:
        self._begin()
        return self.cursor.stream(*args, **options)

    def _begin(self) -> None:
        if not self.only_reads or self.db.writes:
            self.db.begin()


class _Cursor(_BeginsFirst): ...


class _DebugCursor(_BeginsFirst, CursorDebugWrapper): ...


class _Errors(DatabaseErrorWrapper):
    """Marks a connection that cannot write, or whose prepared statements are useless now,
    as too old: it is closed before the next unit of work.

    After a fail-over new connections can write, and this one may never.
    """

    wrapper: DatabaseWrapper

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sqlstate = getattr(exc_value, "sqlstate", None)
        prepared.note(sqlstate)
        if sqlstate == READ_ONLY or prepared.are_useless(sqlstate):
            self.wrapper.close_at = 0.0
        super().__exit__(exc_type, exc_value, traceback)
