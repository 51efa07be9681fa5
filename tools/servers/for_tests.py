"""The servers of a run of the tests: both, or PostgreSQL alone where no RabbitMQ can be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tools.system import left_out

from . import postgresql, rabbitmq
from .found import NoServer, Server, find

EMBEDDED = "embedded"
"""The way that leaves out what needs a RabbitMQ; the rest runs on the embedded broker."""

WAYS = (*rabbitmq.PRODUCT.ways, EMBEDDED)


@dataclass(frozen=True)
class ServersForTests:
    """A PostgreSQL, and the variables that tell the tests of the broker."""

    database: Server
    broker: Mapping[str, str]

    @property
    def lacks_rabbitmq(self) -> bool:
        return left_out.VARIABLE in self.broker


def servers_for_tests(
    stack: ExitStack, *, broker: str = "", database: str = "", say: Callable[[str], None] = print
) -> ServersForTests:
    """Find or start them. With CI set, nothing is ever left out. Raises `NoServer`."""
    variables = _broker(stack, broker, say)
    server = find(postgresql.PRODUCT, stack, database)
    say(str(server))
    return ServersForTests(server, variables)


def _broker(stack: ExitStack, only: str, say: Callable[[str], None]) -> Mapping[str, str]:
    in_ci = bool(os.environ.get("CI"))
    if only != EMBEDDED:
        try:
            server = find(rabbitmq.PRODUCT, stack, only)
        except NoServer as why_not:
            if only or in_ci or os.environ.get(rabbitmq.PRODUCT.variable):
                raise
            say(str(why_not))
        else:
            say(str(server))
            return {rabbitmq.PRODUCT.variable: server.url}
    if in_ci:
        raise NoServer("CI is set, so no test is left out: expected a RabbitMQ")
    say("Tests that need a RabbitMQ are left out; the others run on the embedded broker.")
    return {left_out.VARIABLE: "1"}
