"""The name of this module is Django's: `ENGINE` names the package around it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property

from admit_one.database import session

READ_ONLY = "25006"
"""SQLSTATE of a write on a server that only reads: a standby, or one that was the primary."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections are set up when they are made, and dropped once they cannot write."""

    def init_connection_state(self) -> None:
        try:
            super().init_connection_state()
            session.configure(self.connection)
        except BaseException:
            # Django would use it all the same.
            raw, self.connection = self.connection, None
            raw.close()
            raise

    @cached_property
    def wrap_database_errors(self) -> Any:
        return _Errors(self)


class _Errors(DatabaseErrorWrapper):
    """Marks a connection that cannot write as too old: it is closed before the next unit of work.

    After a fail-over new connections can write, and this one may never.
    """

    wrapper: DatabaseWrapper

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if getattr(exc_value, "sqlstate", None) == READ_ONLY:
            self.wrapper.close_at = 0.0
        super().__exit__(exc_type, exc_value, traceback)
