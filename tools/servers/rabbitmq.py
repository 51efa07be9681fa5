"""The ways to a RabbitMQ."""

from __future__ import annotations

from contextlib import ExitStack

from kombu import Connection

from tools.system.ports import LOCAL

from .docker import container, docker_answers
from .found import NotHere, Product, Way, from_environment, without_password
from .rabbitmq_node import Node

LOCALHOST = f"amqp://guest:guest@{LOCAL}:5672//"
IMAGE = "rabbitmq:4.1"


def probe(url: str) -> str:
    """The version of the RabbitMQ at `url`, from its own handshake."""
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
    """The URL of a node of our own on a free port, with users and vhosts from `definitions`.

    Raises `NotHere` where RabbitMQ is not installed or does not come up.
    """
    return Node(stack, definitions=definitions).url


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
            "install RabbitMQ, and a private one is started for you: "
            "apt install rabbitmq-server, or brew install rabbitmq",
            private,
        ),
        "docker": Way(f"start Docker, and {IMAGE} is run in a container", _docker),
    },
)
