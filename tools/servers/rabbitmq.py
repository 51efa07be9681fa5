"""The ways to get a RabbitMQ."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from kombu import Connection

from tools.system.ports import LOCAL

from .debian_packages import unpacked
from .docker import container, docker_answers
from .found import NotHere, Product, Way, from_environment, without_password
from .rabbitmq_node import Node

LOCALHOST = f"amqp://guest:guest@{LOCAL}:5672//"
IMAGE = "rabbitmq:4.1"
PACKAGE = "rabbitmq-server"
ERLANG = "usr/lib/erlang"
PROGRAMS = ("usr/lib/rabbitmq/bin", f"{ERLANG}/bin")


def probe(url: str) -> str:
    """The version of the RabbitMQ at `url`, from its handshake."""
    timeouts = {"read_timeout": 5, "write_timeout": 5}
    connection = Connection(url, connect_timeout=3, transport_options=timeouts)
    try:
        connection.connect()
        properties = connection.connection.server_properties
    except (*connection.connection_errors, *connection.channel_errors) as error:
        raise NotHere(f"{without_password(url)} does not answer: {error}") from None
    finally:
        connection.collect(socket_timeout=1)
    return str(properties.get("version", "of unknown version"))


def private(stack: ExitStack, definitions: str = "") -> str:
    """The URL of a private node, with users and vhosts from `definitions`. Raises `NotHere`."""
    return Node(stack, definitions=definitions).url


def _packages(stack: ExitStack) -> str:
    root = unpacked(stack, PACKAGE, f"{ERLANG}/bin/erl", _move_erlang)
    # For whoever starts another node, too: the suites, the chaos.
    folders = [*(str(root / folder) for folder in PROGRAMS), os.environ["PATH"]]
    os.environ["PATH"] = os.pathsep.join(folders)
    return private(stack)


def _move_erlang(new: Path, root: Path) -> None:
    start = new / ERLANG / "bin" / "erl"
    if not start.exists():
        raise NotHere(f"apt brought no {PACKAGE} with its Erlang: is a part of it installed?")
    start.write_text(start.read_text().replace(f"ROOTDIR=/{ERLANG}", f"ROOTDIR={root / ERLANG}"))


def _docker(stack: ExitStack) -> str:
    docker_answers()
    from testcontainers.community.rabbitmq import RabbitMqContainer  # noqa: PLC0415

    running = container(stack, RabbitMqContainer(IMAGE))
    host, port = running.get_container_host_ip(), running.get_exposed_port(5672)
    return f"amqp://guest:guest@{host}:{port}//"


PRODUCT = Product(
    name="RabbitMQ",
    variable="TEST_BROKER_URL",
    probe=probe,
    ways={
        "environment": from_environment("TEST_BROKER_URL"),
        "localhost": Way(
            "run RabbitMQ on localhost:5672 with its guest login", lambda _: LOCALHOST
        ),
        "native": Way(
            "install RabbitMQ, and a private server is started: "
            "apt install rabbitmq-server, or brew install rabbitmq",
            private,
        ),
        "docker": Way(f"start Docker, and {IMAGE} runs in a container", _docker),
        "packages": Way(
            "on Debian or Ubuntu, within reach of their mirror: a private one is started from "
            "their packages, which are fetched into your cache and not installed",
            _packages,
        ),
    },
)
