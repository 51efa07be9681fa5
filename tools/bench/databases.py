"""The bench's own databases: made from templates, so that every run starts from the same rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import errors, sql

from tools.servers import postgresql

Connection = psycopg.Connection[Any]


class Databases:
    """New databases on one server, all with one prefix; leaving the `with` block drops them."""

    def __init__(self, server_url: str, prefix: str) -> None:
        self._server_url = server_url
        self._prefix = prefix
        self._made: list[str] = []
        self._numbers = itertools.count(1)

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._made:
            postgresql.drop(self._server_url, name)

    def create(self, name: str, template: str = "") -> str:
        """The URL of a new database: empty, or a copy of the one at the URL `template`."""
        name = f"{self._prefix}{name}"
        self._made.append(name)
        return postgresql.create(self._server_url, name, template=postgresql.name_in(template))

    def drop(self, url: str) -> None:
        name = postgresql.name_in(url)
        postgresql.drop(self._server_url, name)
        self._made.remove(name)

    @contextmanager
    def copies(self, **templates: str) -> Iterator[dict[str, str]]:
        """A copy of each template by its name, dropped afterwards."""
        copies: dict[str, str] = {}
        try:
            for name, template in templates.items():
                copies[name] = self.create(f"{name}_run{next(self._numbers)}", template)
            yield copies
        finally:
            for url in copies.values():
                self.drop(url)

    def checkpoint(self) -> None:
        """Write to disk now what the server would else write while we measure, if we may."""
        with psycopg.connect(self._server_url, autocommit=True) as server:
            try:
                server.execute("CHECKPOINT")
            except errors.InsufficientPrivilege:
                return


def fill(url: str, work: Callable[[Connection], object], *tables: str) -> None:
    """Do `work` in the database at `url`, then vacuum and analyze these of its tables.

    Never an empty one: PostgreSQL would believe for a minute that it stays so, and plan for that.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        work(connection)
        for table in tables:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))


def number(connection: Connection, query: LiteralString) -> int:
    """The one number that `query` returns."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
