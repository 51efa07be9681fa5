"""Systems under test, and what their processes said last when a test fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests_integration.harness.deployment import Deployment, deployed
from tests_integration.harness.places import Place
from tools.servers import Servers

from .harness import places


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A real RabbitMQ and a real PostgreSQL."""
    with Servers() as servers:
        yield servers


@pytest.fixture(scope="session", params=["servers", "embedded"])
def kind(request: pytest.FixtureRequest) -> str:
    """Where the system lives. `on_servers` keeps a test to the first."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def shared_deployment(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One running system for many tests; take `deployment`, which is whole at the start."""
    with place(kind, request, tmp_path_factory.mktemp(kind)) as here, deployed(here) as deployment:
        yield deployment


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    """A running system, shared with other tests."""
    shared_deployment.mend()
    return shared_deployment


@pytest.fixture
def new_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place where no system has ever been."""
    with place(kind, request, tmp_path) as here:
        yield here


@pytest.fixture
def new_deployment(new_place: Place) -> Iterator[Deployment]:
    """A system of which no process has ever run."""
    with deployed(new_place) as deployment:
        yield deployment


def place(kind: str, request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Place]:
    if kind == "embedded":
        return places.embedded(folder)
    return places.on_servers(request.getfixturevalue("servers"), folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last lines of each process of a system whose test has failed."""
    report = yield
    if report.failed:
        for deployment in {h for h in item.funcargs.values() if isinstance(h, Deployment)}:
            report.sections += deployment.last_lines()
    return report
