"""Routes messages to queues. Routes are cached until the topology changes."""

from __future__ import annotations

import json
import re
import sqlite3

from .entities import Queue, find_exchange


class Router:
    """Routes by the tables of `db`. Call `refresh` once in each transaction, then `route`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._version = 0
        self._routes: dict[tuple[str, str], list[Queue]] = {}
        self._queues: dict[int, Queue] = {}

    def refresh(self) -> None:
        """Clear the caches if any process has changed the topology."""
        (version,) = self._db.execute("SELECT version FROM topology").fetchone()
        if version != self._version:
            self._routes.clear()
            self._queues.clear()
            self._version = version

    def queue(self, number: int) -> Queue:
        if number not in self._queues:
            name, arguments = self._db.execute(
                "SELECT name, arguments FROM queue WHERE id = ?", (number,)
            ).fetchone()
            self._queues[number] = Queue(number, name, json.loads(arguments))
        return self._queues[number]

    def route(self, exchange: str, routing_key: str) -> list[Queue]:
        """The queues for this key, each once. Raises `NotFound` for the exchange."""
        route = (exchange, routing_key)
        if route not in self._routes:
            if len(self._routes) > 10_000:  # publishers choose the keys
                self._routes.clear()
            self._routes[route] = [self.queue(number) for number in self._numbers(*route)]
        return self._routes[route]

    def _numbers(self, exchange: str, routing_key: str) -> list[int]:
        if not exchange:  # the default exchange: every queue is bound by its name
            queues = self._db.execute("SELECT id FROM queue WHERE name = ?", (routing_key,))
            return [number for (number,) in queues]
        kind = find_exchange(self._db, exchange)
        bindings = self._db.execute(
            "SELECT queue, routing_key FROM binding WHERE exchange = ? ORDER BY queue", (exchange,)
        ).fetchall()
        matching = [number for number, key in bindings if matches(kind, key, routing_key)]
        return list(dict.fromkeys(matching))


def matches(kind: str, binding_key: str, routing_key: str) -> bool:
    """Whether an exchange of this kind sends `routing_key` to a queue bound by `binding_key`."""
    if kind == "fanout":
        return True
    if kind == "direct":
        return binding_key == routing_key
    return re.fullmatch(_pattern(binding_key), f".{routing_key}") is not None


def _pattern(binding_key: str) -> str:
    """A topic's `*` is one word, its `#` any number of them; each word starts with its dot."""
    words = {"*": r"\.[^.]*", "#": r"(?:\.[^.]*)*"}
    return "".join(words.get(word, re.escape(f".{word}")) for word in binding_key.split("."))
