"""Reads committed rows of a database from outside, without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg

Row = tuple[Any, ...]


class Rows:
    """Reads from the database at a URL. Queries use `?` for each value."""

    def __init__(self, url: str) -> None:
        path = url.removeprefix("sqlite:///")
        self._read: Callable[[str, Row], list[Row]]
        if path != url:
            # Quoted, as SQLite's own URIs need it.
            file = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
            self._read = lambda query, values: file.execute(query, values).fetchall()
            self.close = file.close
        else:
            server = psycopg.connect(url, autocommit=True)
            self._read = lambda query, values: server.execute(
                query.replace("?", "%s").encode(), values
            ).fetchall()
            self.close = server.close

    def all(self, query: str, *values: object) -> list[Row]:
        return self._read(query, values)

    def exist(self, query: str, *values: object) -> bool:
        return bool(self._read(query, values))
