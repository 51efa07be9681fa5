"""Finds or starts a real RabbitMQ and a real PostgreSQL for tests and measurements.

    with Servers() as servers:
        servers.broker.url, servers.database.url

Each is searched for in a fixed order, and the one that is used is printed.
A server that was started here ends with this process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from . import postgresql, rabbitmq
from .found import WAY, NoServer, Product, Server, find

__all__ = ["WAY", "NoServer", "Product", "Server", "Servers", "find", "postgresql", "rabbitmq"]


class Servers:
    """Both servers, for as long as the `with` block lasts. Raises `NoServer`.

    `broker` and `database` each choose one way; empty means the first that works.
    """

    broker: Server
    database: Server

    def __init__(
        self, *, broker: str = "", database: str = "", say: Callable[[str], None] = print
    ) -> None:
        self._only = broker, database
        self._say = say
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            only_broker, only_database = self._only
            self.broker = find(rabbitmq.PRODUCT, stack, only_broker)
            self._say(str(self.broker))
            self.database = find(postgresql.PRODUCT, stack, only_database)
            self._say(str(self.database))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
