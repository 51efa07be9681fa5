"""The bench's own databases: made from templates, so that every run starts from the same rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import errors, sql

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
        for url in list(self._made):
            self.drop(url)

    def create(self, name: str, template: str = "") -> str:
        """The URL of a new database: empty, or a copy of the one at the URL `template`."""
        url = self._url(f"{self._prefix}{name}")
        statement = sql.SQL("CREATE DATABASE {}").format(_identifier(url))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(_identifier(template))
        with psycopg.connect(self._server_url, autocommit=True) as server:
            if template and server.info.server_version >= 150000:
                # By files, not through the log: a copy of gigabytes must not echo in what is timed.
                statement += sql.SQL(" STRATEGY FILE_COPY")
            self._made.append(url)
            server.execute(statement)
        return url

    def drop(self, url: str) -> None:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_identifier(url))
        with psycopg.connect(self._server_url, autocommit=True) as server:
            server.execute(drop)
        self._made.remove(url)

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

    def settle(self) -> None:
        """Write to disk now what the server would else write while we measure, if we may."""
        with psycopg.connect(self._server_url, autocommit=True) as server:
            try:
                server.execute("CHECKPOINT")
            except errors.InsufficientPrivilege:
                return

    def _url(self, name: str) -> str:
        return urlsplit(self._server_url)._replace(path=f"/{name}").geturl()


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


def _identifier(url: str) -> sql.Identifier:
    return sql.Identifier(urlsplit(url).path[1:])
