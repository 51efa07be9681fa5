"""The ways to a RabbitMQ."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from kombu import Connection

from ..ports import LOCAL, answers, free_port
from ..process import NotReady, Process, wait_ready
from .docker import container, docker_answers
from .found import NotHere, Product, Way, from_environment, temporary_folder, without_password

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
    program = _program()
    folder = temporary_folder(stack, "rabbitmq")
    port, epmd_port = free_port(), free_port()
    environment = _environment(folder, port, epmd_port)
    if definitions:
        (folder / "definitions.json").write_text(definitions)
        with (folder / "rabbitmq.conf").open("a") as settings:
            settings.write(f"load_definitions = {folder / 'definitions.json'}\n")
    # The node would start a name server of its own that outlives it; ours ends with us.
    name_server = ["epmd", "-port", str(epmd_port), "-address", LOCAL]
    try:
        for process in (
            Process(
                "epmd",
                name_server,
                log=folder / "epmd.log",
                env=environment,
                is_ready=lambda _: answers(epmd_port),
            ),
            Process(
                "rabbitmq",
                [str(program)],
                log=folder / "rabbitmq.log",
                env=environment,
                is_ready=lambda _: answers(port),
            ),
        ):
            # Its data is thrown away: there is nothing to end gently.
            stack.callback(process.end, 0)
            for _ in wait_ready([process], 60):
                pass
    except NotReady as error:
        raise NotHere(str(error)) from None
    return f"amqp://guest:guest@{LOCAL}:{port}//"


def _program() -> Path:
    # Debian's own command insists on root or on the user rabbitmq; the one behind it does not.
    debian = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    found = str(debian) if debian.exists() else shutil.which("rabbitmq-server")
    if not found or not shutil.which("erl") or not shutil.which("epmd"):
        raise NotHere("no rabbitmq-server with its Erlang was found on this machine")
    return Path(found)


def _environment(folder: Path, port: int, epmd_port: int) -> dict[str, str]:
    """All that keeps this node apart from any other on the machine."""
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = {LOCAL}:{port}\n")
    (folder / "enabled_plugins").write_text("[].\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),  # the node's cookie
        # The start script becomes the node, instead of a shell that waits for it.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": f"admit-one-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": LOCAL,
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    }


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
