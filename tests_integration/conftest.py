"""Systems under test; if a test fails, the last lines of their logs are shown."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests_integration.harness.deployment import Deployment, deployed
from tests_integration.harness.places import Place
from tools.servers import Servers, rabbitmq_node
from tools.servers.found import NotHere
from tools.system.left_out import skip_without_rabbitmq

from .harness import places


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A real RabbitMQ and a real PostgreSQL."""
    skip_without_rabbitmq()
    with Servers() as servers:
        yield servers


@pytest.fixture(scope="session")
def installed_rabbitmq() -> None:
    """Skips tests that need a private RabbitMQ if none is installed.

    If one is installed but does not start, these tests fail.
    """
    skip_without_rabbitmq()
    try:
        rabbitmq_node.installed()
    except NotHere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session", params=["servers", "embedded"])
def kind(request: pytest.FixtureRequest) -> str:
    """What the system runs on. `on_servers` restricts a test to the first."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def shared_deployment(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One system for many tests. Tests use `deployment`, in which all processes run."""
    with place(kind, request, tmp_path_factory.mktemp(kind)) as here, deployed(here) as deployment:
        yield deployment


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    """A running system, shared with other tests."""
    shared_deployment.reset()
    return shared_deployment


@pytest.fixture
def new_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place without databases or queues of an earlier system."""
    with place(kind, request, tmp_path) as here:
        yield here


@pytest.fixture
def new_deployment(new_place: Place) -> Iterator[Deployment]:
    """A migrated system of which no process has run yet."""
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
    report = yield
    if report.failed:
        for deployment in {h for h in item.funcargs.values() if isinstance(h, Deployment)}:
            report.sections += deployment.last_lines()
    return report
