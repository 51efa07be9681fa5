"""Servers: looked for in order, believed when named, started when needed, and never left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kombu import Connection

from tools.servers import NoServer, Product, Servers, find, postgresql, rabbitmq
from tools.servers.found import NotHere, Way, from_environment, without_password
from tools.servers.postgresql_cluster import Cluster
from tools.servers.rabbitmq_node import Node
from tools.system.commands import ROOT
from tools.system.ports import LOCAL, free_port
from tools.system.process_tree import running

from .test_process import within

has_rabbitmq = pytest.mark.skipif(not shutil.which("epmd"), reason="no RabbitMQ is installed")
has_initdb = pytest.mark.skipif(not shutil.which("initdb"), reason="no PostgreSQL is installed")


def a_product(**ways: Callable[[ExitStack], str]) -> Product:
    return Product(
        name="Thing",
        variable="TEST_THING_URL",
        probe=lambda url: {"thing://old": "1.0", "thing://new": "2.0"}[url],
        ways={
            "environment": from_environment("TEST_THING_URL"),
            **{name: Way(f"advice of {name}", get) for name, get in ways.items()},
        },
    )


@pytest.fixture
def readable_folder() -> Iterator[Path]:
    """For what a killed runner cannot remove; another user may look into it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def nothing(_: ExitStack) -> str:
    raise NotHere("nothing there")


def test_the_first_way_that_works_is_taken_and_shown() -> None:
    product = a_product(
        first=nothing, second=lambda _: "thing://old", third=lambda _: "thing://new"
    )
    with ExitStack() as stack:
        server = find(product, stack)

    assert str(server) == "Thing 1.0 (second) at thing://old"


def test_where_there_is_none_every_way_is_named_with_its_reason() -> None:
    with ExitStack() as stack, pytest.raises(NoServer) as failure:
        find(a_product(first=nothing), stack)

    assert str(failure.value).splitlines() == [
        "No Thing can be had here. Any one of these gives one:",
        "  - set TEST_THING_URL to the URL of a server you may fill with test data",
        "      now: not set",
        "  - advice of first",
        "      now: nothing there",
    ]


def test_a_server_that_is_named_is_believed_or_it_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_BROKER_URL", f"amqp://me:secret@{LOCAL}:{free_port()}//")
    with ExitStack() as stack, pytest.raises(NoServer) as failure:
        find(rabbitmq.PRODUCT, stack)

    assert "TEST_BROKER_URL is set, but" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_what_a_way_started_ends_if_its_server_does_not_answer() -> None:
    ended: list[str] = []

    def starts_something_useless(stack: ExitStack) -> str:
        stack.callback(ended.append, "useless")
        raise NotHere("it does not come up")

    with ExitStack() as stack, pytest.raises(NoServer):
        find(a_product(only=starts_something_useless), stack)

    assert ended == ["useless"]


def test_no_password_is_shown() -> None:
    assert without_password("amqp://me:secret@host:5672//") == "amqp://me:***@host:5672//"
    assert without_password(f"amqp://{LOCAL}:5672//") == f"amqp://{LOCAL}:5672//"


@has_rabbitmq
def test_a_private_rabbitmq_is_started_from_its_programs() -> None:
    with ExitStack() as stack:
        server = find(rabbitmq.PRODUCT, stack, "native")
        with Connection(server.url) as connection:
            connection.connect()

            assert connection.connected

    with pytest.raises(NotHere):
        rabbitmq.probe(server.url)


@pytest.mark.parametrize("way", [pytest.param("native", marks=has_initdb), "wheel"])
def test_a_private_postgresql_is_started_from_its_programs(way: str) -> None:
    with ExitStack() as stack:
        server = find(postgresql.PRODUCT, stack, way)
        with (
            postgresql.database(server.url, "first") as url,
            psycopg.connect(url) as connection,
        ):
            row = connection.execute("SELECT current_database()").fetchone()

            assert row == ("first",)

    with pytest.raises(NotHere):
        postgresql.probe(server.url)


@has_rabbitmq
def test_a_private_rabbitmq_that_is_killed_keeps_its_messages() -> None:
    with ExitStack() as stack:
        node = Node(stack)
        with Connection(node.url) as connection:
            channel: Any = connection.channel()
            channel.queue_declare("kept", durable=True)
            channel.confirm_select()
            kept = channel.prepare_message(b"kept", properties={"delivery_mode": 2})
            channel.basic_publish_confirm(kept, routing_key="kept")

        node.kill()
        node.start()
        node.wait_ready()

        with Connection(node.url) as connection:
            channel = connection.channel()

            assert channel.basic_get("kept").body == b"kept"


@has_initdb
def test_a_private_postgresql_that_crashes_keeps_what_was_committed() -> None:
    with ExitStack() as stack:
        cluster = Cluster(stack, postgresql.installed())
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

        cluster.crash()
        cluster.start()
        cluster.wait_ready()

        with psycopg.connect(cluster.url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_no_private_server_is_left_when_the_tests_are_killed_outright(
    readable_folder: Path,
) -> None:
    script = """
import time
from contextlib import ExitStack
from tools.servers import find, postgresql
with ExitStack() as stack:
    print(find(postgresql.PRODUCT, stack, "wheel").url, flush=True)
    time.sleep(60)
"""
    runner = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(readable_folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with runner:
        assert runner.stdout is not None
        url = runner.stdout.readline().strip()
        postgres = int(
            subprocess.run(
                ["pgrep", "-P", str(runner.pid)], capture_output=True, text=True, check=True
            ).stdout.split()[0]
        )
        assert postgresql.probe(url)

        runner.kill()

    assert within(5, lambda: not running([postgres]))


def test_the_servers_of_this_very_run_answer() -> None:
    printed: list[str] = []
    with Servers(say=printed.append) as servers:
        assert printed == [str(servers.broker), str(servers.database)]

    assert servers.broker.way == (
        "environment" if os.environ.get("TEST_BROKER_URL") else "localhost"
    )
