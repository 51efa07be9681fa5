"""Which queues a message goes to. Cached, until another process changes the topology."""

from __future__ import annotations

import json
import re
import sqlite3

from amqp.exceptions import NotFound

from .entities import Queue


class Router:
    """Routes by the tables of `db`. Ask `refresh` once in each transaction, then `route`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._version = 0
        self._routes: dict[tuple[str, str], list[Queue]] = {}
        self._queues: dict[int, Queue] = {}

    def refresh(self) -> None:
        """Forget what another process has changed."""
        (version,) = self._db.execute("SELECT version FROM topology").fetchone()
        if version != self._version:
            self._routes.clear()
            self._queues.clear()
            self._version = version

    def queue(self, number: int) -> Queue:
        """The queue of this number."""
        if number not in self._queues:
            name, arguments = self._db.execute(
                "SELECT name, arguments FROM queue WHERE id = ?", (number,)
            ).fetchone()
            self._queues[number] = Queue(number, name, json.loads(arguments))
        return self._queues[number]

    def route(self, exchange: str, routing_key: str) -> list[Queue]:
        """The queues for this key, none twice. NotFound: there is no such exchange."""
        route = (exchange, routing_key)
        if route not in self._routes:
            if len(self._routes) > 10_000:  # keys are the publishers' choice, memory is ours
                self._routes.clear()
            self._routes[route] = [self.queue(number) for number in self._numbers(*route)]
        return self._routes[route]

    def _numbers(self, exchange: str, routing_key: str) -> list[int]:
        if not exchange:  # the default exchange: every queue is bound by its name
            queues = self._db.execute("SELECT id FROM queue WHERE name = ?", (routing_key,))
            return [number for (number,) in queues]
        kind = self._db.execute("SELECT type FROM exchange WHERE name = ?", (exchange,)).fetchone()
        if kind is None:
            raise NotFound(f"NOT_FOUND - no exchange '{exchange}' in vhost '/'")
        bindings = self._db.execute(
            "SELECT queue, routing_key FROM binding WHERE exchange = ? ORDER BY queue", (exchange,)
        ).fetchall()
        matching = [number for number, key in bindings if matches(kind[0], key, routing_key)]
        return list(dict.fromkeys(matching))


def matches(kind: str, binding_key: str, routing_key: str) -> bool:
    """Whether an exchange of this kind sends `routing_key` to a queue bound by `binding_key`."""
    if kind == "fanout":
        return True
    if kind == "direct":
        return binding_key == routing_key
    return re.fullmatch(_pattern(binding_key), f".{routing_key}") is not None


def _pattern(binding_key: str) -> str:
    """A topic's `*` is one word, its `#` any number of them; each word has its dot in front."""
    words = {"*": r"\.[^.]*", "#": r"(?:\.[^.]*)*"}
    return "".join(words.get(word, re.escape(f".{word}")) for word in binding_key.split("."))
