"""Servers are searched for in order, started if needed, and never left behind."""

from __future__ import annotations

import os
import re
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

from tools.servers import (
    NoServer,
    Product,
    Servers,
    debian_packages,
    find,
    postgresql,
    rabbitmq,
    rabbitmq_node,
)
from tools.servers.for_tests import servers_for_tests
from tools.servers.found import NotHere, Way, from_environment, without_password
from tools.servers.postgresql_cluster import Cluster
from tools.servers.rabbitmq_node import Node
from tools.system.commands import ROOT
from tools.system.left_out import skip_without_rabbitmq
from tools.system.ports import LOCAL, free_port
from tools.system.process_tree import descendants, running

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
    """A folder that other users can read, for files that a killed runner leaves."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def nothing(_: ExitStack) -> str:
    raise NotHere("nothing there")


def test_the_first_way_that_works_is_used_and_shown() -> None:
    product = a_product(
        first=nothing, second=lambda _: "thing://old", third=lambda _: "thing://new"
    )
    with ExitStack() as stack:
        server = find(product, stack)

    assert str(server) == "Thing 1.0 (second) at thing://old"


def test_if_there_is_no_server_every_way_is_listed_with_its_reason() -> None:
    with ExitStack() as stack, pytest.raises(NoServer) as failure:
        find(a_product(first=nothing), stack)

    assert str(failure.value).splitlines() == [
        "No Thing was found or could be started. Do one of these:",
        "  - set TEST_THING_URL to the URL of a server for test data",
        "      now: not set",
        "  - advice of first",
        "      now: nothing there",
    ]


def test_a_server_in_the_environment_must_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_BROKER_URL", f"amqp://me:secret@{LOCAL}:{free_port()}//")
    with ExitStack() as stack, pytest.raises(NoServer) as failure:
        find(rabbitmq.PRODUCT, stack)

    assert "TEST_BROKER_URL is set, but" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_a_way_that_fails_cleans_up() -> None:
    ended: list[str] = []

    def start_and_fail(stack: ExitStack) -> str:
        stack.callback(ended.append, "started")
        raise NotHere("it does not come up")

    with ExitStack() as stack, pytest.raises(NoServer):
        find(a_product(only=start_and_fail), stack)

    assert ended == ["started"]


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


@pytest.mark.skipif(not shutil.which("apt-get"), reason="neither Debian nor Ubuntu")
def test_a_rabbitmq_comes_from_debians_packages_where_none_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine, as apt would see it without them.
    known = Path("/var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n")
    status = tmp_path / "status"
    others = (one for one in known if not re.match("Package: (rabbitmq|erlang)", one))
    status.write_text("\n\n".join(others), encoding="utf-8")
    (tmp_path / "apt.conf").write_text(f'Dir::State::status "{status}";')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rabbitmq_node, "DEBIAN", tmp_path / "none")
    monkeypatch.setenv("PATH", os.environ["PATH"])

    with ExitStack() as stack:
        server = find(rabbitmq.PRODUCT, stack, "packages")

        assert Path(shutil.which("erl") or "").is_relative_to(tmp_path / "cache")
        assert server.way == "packages"

    unpacked = next((tmp_path / "cache" / "admit-one").iterdir())
    assert [path.name for path in unpacked.glob("root*")] == ["root"]


def test_a_folder_that_would_break_rabbitmqs_scripts_is_not_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("with space", "with#hash", "größe"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        with ExitStack() as stack:
            assert not debian_packages._cache(stack, "thing").is_relative_to(tmp_path / name)


def test_a_home_that_cannot_be_written_is_not_its_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nobody")
    with ExitStack() as stack:
        assert debian_packages._cache(stack, "thing").is_relative_to(tempfile.gettempdir())


def test_programs_that_were_installed_for_their_owner_alone_can_be_run_by_others(
    tmp_path: Path,
) -> None:
    package = tmp_path / "package"
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "initdb").touch(0o700)
    for path in (package, package / "bin"):
        path.chmod(0o700)

    folder = tmp_path / "folder"
    folder.mkdir()
    copy = postgresql._readable_copy(package, folder)

    modes = [path.stat().st_mode & 0o777 for path in (copy, copy / "bin", copy / "bin" / "initdb")]
    assert modes == [0o705, 0o705, 0o705]


def test_a_program_that_may_not_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").touch(0o600)

    with ExitStack() as stack, pytest.raises(NotHere, match="postgres may not be executed"):
        Cluster(stack, tmp_path)


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
        # RabbitMQ confirms a message once it is on disk, but a queue before it is.
        node.ctl("stop_app")
        node.ctl("start_app")
        with Connection(node.url) as connection:
            channel = connection.channel()
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
def test_no_private_server_is_left_when_the_tests_are_killed(
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
        started = descendants(runner.pid)
        assert postgresql.probe(url)

        runner.kill()

    assert within(5, lambda: not running(started))


def test_each_way_to_a_rabbitmq_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing on this machine, and no apt: what needs no RabbitMQ is left."""
    monkeypatch.delenv("TEST_BROKER_URL", raising=False)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{LOCAL}:{free_port()}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rabbitmq, "LOCALHOST", f"amqp://guest:guest@{LOCAL}:{free_port()}//")
    monkeypatch.setattr(rabbitmq_node, "DEBIAN", tmp_path)
    said: list[str] = []
    with ExitStack() as stack:
        servers = servers_for_tests(stack, database="wheel", say=said.append)

    assert servers.lacks_rabbitmq
    reasons = [line.strip() for line in said[0].splitlines() if line.startswith("      now: ")]
    for reason, expected in zip(
        reasons,
        ["not set", "does not answer", "not found", "no Docker daemon answers", "no apt-get"],
        strict=True,
    ):
        assert expected in reason


@has_rabbitmq
def test_the_servers_of_this_test_run_are_printed_as_found() -> None:
    skip_without_rabbitmq()
    printed: list[str] = []
    with Servers(say=printed.append) as servers:
        assert printed == [str(servers.broker), str(servers.database)]

    assert servers.broker.way == (
        "environment" if os.environ.get("TEST_BROKER_URL") else "localhost"
    )
