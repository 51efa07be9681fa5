"""What docs/events.md says to declare is declared, on both brokers, and its rights are enough."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import admit_one.embedded_broker  # noqa: F401  (makes sqlite:// a broker URL)
import pika
import pika.exceptions
import pytest
from admit_one.messaging.broker.topology import ServiceTopology, declare
from kombu import Connection
from shared_contracts.topology import TOPOLOGY

from tools.servers.rabbitmq_node import Node
from tools.system.ports import LOCAL

PAGE = (Path(__file__).parents[1] / "docs" / "events.md").read_text(encoding="utf-8")
PREFIXES = ["", "staging."]


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first heading this is; an empty cell repeats the one above."""
    lines = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [re.split(r" *(?<!\\)\| *", line.strip("| ")) for line in lines]
    return [[cell.replace("\\|", "|") for cell in row] for row in cells]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def published() -> dict[str, list[str]]:
    """The keys of each exchange."""
    keys: dict[str, list[str]] = {}
    exchange = ""
    text = PAGE.partition("| Exchange |")[2].partition("\n\n")[0]
    for line in text.splitlines()[2:]:
        first, kind, key, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        if first:
            exchange = quoted(first)[0]
            assert kind == "direct, durable"
        keys.setdefault(exchange, []).append(quoted(key)[0])
    return keys


@dataclass(frozen=True)
class Queue:
    name: str
    exchange: str
    keys: tuple[str, ...]
    arguments: dict[str, Any]


def queues(prefix: str) -> Iterator[Queue]:
    """The queues of the page, as it says that they are declared under this prefix."""
    keys = published()
    for names, bound, arguments, *_ in table("Queue, durable"):
        given = dict(text.split(": ") for text in quoted(arguments))
        values: dict[str, Any] = {n: int(v) if v.isdigit() else v for n, v in given.items()}
        if "x-dead-letter-exchange" in values:
            values["x-dead-letter-exchange"] = prefix + values["x-dead-letter-exchange"]
        for name in quoted(names):
            exchange, key = [*quoted(bound), ""][:2]
            if exchange in keys:
                yield Queue(prefix + name, prefix + exchange, tuple(keys[exchange]), values)
            else:
                assert "an exchange of the same name (direct, durable)" in bound, key
                yield Queue(prefix + name, prefix + name, ("dead",), values)


def declare_as_the_page_says(connection: Connection, prefix: str) -> None:
    channel: Any = connection.channel()
    for queue in queues(prefix):
        channel.exchange_declare(queue.exchange, "direct", durable=True, auto_delete=False)
        channel.queue_declare(
            queue.name, durable=True, auto_delete=False, arguments=queue.arguments
        )
        for key in queue.keys:
            channel.queue_bind(queue.name, queue.exchange, key)


def declare_as_deployed(connection: Connection, prefix: str) -> None:
    for service in TOPOLOGY.values():
        declare(connection, ServiceTopology(service, prefix))


@pytest.fixture(scope="module")
def node(installed_rabbitmq: None) -> Iterator[Node]:
    with ExitStack() as stack:
        node = Node(stack)
        node.ctl("await_startup")  # it takes connections a moment before it takes commands
        yield node


@pytest.fixture(params=["RabbitMQ", "embedded"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    """A broker with nothing of ours on it."""
    if request.param == "embedded":
        url = f"sqlite:///{tmp_path}/broker.sqlite3"
    else:
        node = request.getfixturevalue("node")
        vhost = re.sub(r"\W", "-", request.node.name)
        node.ctl("add_vhost", vhost)
        node.ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        url = node.url.removesuffix("//") + f"/{vhost}"
    with Connection(url) as connection:
        yield connection


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "order",
    [
        (declare_as_deployed, declare_as_the_page_says),
        (declare_as_the_page_says, declare_as_deployed),
    ],
    ids=["ours first", "theirs first"],
)
def test_what_the_page_declares_is_what_the_services_declare(
    connection: Connection, prefix: str, order: tuple[Callable[[Connection, str], None], ...]
) -> None:
    names = {queue.name for queue in queues(prefix)}
    for declared in order:
        declared(connection, prefix)

    ours = [ServiceTopology(service, prefix) for service in TOPOLOGY.values()]
    assert names == {queue.name for t in ours for queue in (t.inbox, t.dead)}
    assert {exchange: set(keys) for exchange, keys in published().items()} == {
        service.exchange(): {event.type for event in service.publishes}
        for service in TOPOLOGY.values()
    }


# rights


def rights(prefix: str) -> list[str]:
    """The patterns of the listener `mine`: configure, write, read."""
    patterns = [quoted(pattern)[0] for _, pattern, *_ in table("Right")]
    return [with_prefix(pattern, prefix) for pattern in patterns]


def with_prefix(pattern: str, prefix: str) -> str:
    """As the page says: every name in a pattern begins with the prefix."""
    escaped = prefix.replace(".", "[.]")
    return re.sub(r"(mine|payment_service|student_service)\[", rf"{escaped}\1[", pattern)


def test_the_page_shows_what_a_prefix_does_to_the_rights() -> None:
    shown = re.findall(r"with `BROKER_PREFIX=(\S+)`, (.+)", PAGE)
    [(prefix, examples)] = shown
    changed = re.findall(r"`([^`]+)` instead of `([^`]+)`", examples)

    assert [with_prefix(before, prefix) for _, before in changed] == [now for now, _ in changed]
    assert len(changed) == 2


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_rights_of_the_page_let_a_listener_listen_and_do_nothing_else(
    node: Node, prefix: str
) -> None:
    vhost = f"rights-{prefix or 'plain'}"
    node.ctl("add_vhost", vhost)
    for user in ("guest", vhost):
        if user == vhost:
            node.ctl("add_user", user, "secret")
        patterns = rights(prefix) if user == vhost else [".*"] * 3
        node.ctl("set_permissions", "-p", vhost, user, *patterns)
    with Connection(node.url.removesuffix("//") + f"/{vhost}") as deploy:
        declare_as_deployed(deploy, prefix)
    port = int(node.url.rpartition(":")[2].strip("/"))
    login = pika.PlainCredentials(vhost, "secret")
    with pika.BlockingConnection(pika.ConnectionParameters(LOCAL, port, vhost, login)) as mine:
        channel = mine.channel()
        channel.queue_declare(f"{prefix}mine.events", durable=True)
        for exchange, keys in published().items():
            channel.exchange_declare(prefix + exchange, passive=True)
            for key in keys:
                channel.queue_bind(f"{prefix}mine.events", prefix + exchange, key)
        assert channel.basic_get(f"{prefix}mine.events")[0] is None

        for forbidden in (
            lambda ch: ch.queue_declare(f"{prefix}yours.events", durable=True),
            lambda ch: ch.basic_get(f"{prefix}student_service.inbox"),
            lambda ch: ch.queue_bind(
                f"{prefix}student_service.inbox", f"{prefix}payment_service.events", "x"
            ),
            lambda ch: publish(ch, f"{prefix}payment_service.events"),
        ):
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
                forbidden(mine.channel())


def publish(channel: Any, exchange: str) -> None:
    channel.confirm_delivery()
    channel.basic_publish(exchange, "user_subscribed", b"{}")


def test_every_queue_is_in_the_table_once() -> None:
    names = sorted(queue.name for queue in queues(""))

    assert [a for a, b in pairwise(names) if a == b] == []
