"""What is committed in a database, read from outside without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg

Row = tuple[Any, ...]


class Rows:
    """Reads from one database, by its URL. Questions have `?` for each value."""

    def __init__(self, url: str) -> None:
        path = url.removeprefix("sqlite:///")
        self._read: Callable[[str, Row], list[Row]]
        if path != url:
            file = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
            self._read = lambda question, values: file.execute(question, values).fetchall()
            self.close = file.close
        else:
            server = psycopg.connect(url, autocommit=True)
            self._read = lambda question, values: server.execute(
                question.replace("?", "%s").encode(), values
            ).fetchall()
            self.close = server.close

    def all(self, question: str, *values: object) -> list[Row]:
        """Every row that the question finds."""
        return self._read(question, values)

    def exist(self, question: str, *values: object) -> bool:
        """Whether the question has an answer by now."""
        return bool(self._read(question, values))
