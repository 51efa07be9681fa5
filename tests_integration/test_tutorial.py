"""Follows docs/tutorial.md as written, with the built wheel, in an empty folder."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_integration.harness.walkthrough import Walkthrough, blocks_of, python_in
from tools.servers import Servers, postgresql
from tools.system import broker
from tools.system.commands import ROOT

BLOCKS = blocks_of((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
SERVICES = ("billing", "lms")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "uv", "build", "--wheel", "--package", "admit-one", "--quiet"]
    subprocess.run([*build, "--out-dir", str(folder)], cwd=ROOT, check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def addresses(servers: Servers) -> Iterator[dict[str, str]]:
    """URLs of the broker, and of a new database for each service."""
    names = {name: f"tutorial_{name}_{secrets.token_hex(4)}" for name in SERVICES}
    url = servers.database.url
    _forget(servers.broker.url)
    yield {
        "BROKER_URL": servers.broker.url,
        **{f"{name.upper()}_DATABASE": postgresql.create(url, names[name]) for name in SERVICES},
    }
    _forget(servers.broker.url)
    for database in names.values():
        postgresql.drop(url, database)


def _forget(broker_url: str) -> None:
    own = [f"{name}.{kind}" for name in SERVICES for kind in ("inbox", "dead", "events")]
    broker.delete(broker_url, queues=own, exchanges=own)


def follow(folder: Path, wheel: Path, changes: dict[str, str]) -> None:
    reader = Walkthrough(folder, wheel, changes)
    try:
        reader.follow(BLOCKS)
    finally:
        reader.close()


@pytest.mark.timeout(300)
def test_the_tutorial_works_on_the_embedded_broker(tmp_path: Path, wheel: Path) -> None:
    follow(tmp_path, wheel, {})


@pytest.mark.timeout(300)
def test_the_tutorial_works_on_rabbitmq_and_postgresql(
    tmp_path: Path, wheel: Path, addresses: dict[str, str]
) -> None:
    follow(tmp_path, wheel, addresses)


def test_the_reader_writes_at_most_70_lines_of_python() -> None:
    own = len(list(python_in(BLOCKS, SERVICES)))
    contract = len(list(python_in(BLOCKS, ("contract",))))

    assert own <= 40, own
    assert contract <= 30, contract
