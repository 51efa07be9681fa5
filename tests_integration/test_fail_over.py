"""Both databases on two PostgreSQL servers, of which one dies and the other is promoted."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests_integration.harness.deployment import Deployment, deployed
from tests_integration.harness.kinds import with_clusters
from tests_integration.harness.payments import order
from tests_integration.harness.places import Place
from tools.servers import Servers, postgresql
from tools.servers.found import NotHere
from tools.servers.postgresql_cluster import Cluster, Standby
from tools.system.backends import Backends
from tools.system.broker import forget
from tools.system.system import SERVICES

pytestmark = with_clusters

BACK = 45.0
"""Seconds from a fail-over until a subscription has its code: the longest pauses before another
attempt to reach a database are 10 s, on each side of the road."""


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Standby]]:
    with ExitStack() as stack:
        try:
            programs = postgresql.installed()
            primary = Cluster(stack, programs)
            yield primary, Standby(stack, programs, primary)
        except NotHere as reason:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(reason))


def on_both(url: str, standby: Standby) -> str:
    """The URL of a database of the primary, or of the standby once that one writes."""
    parts = urlsplit(url)
    hosts = f"{parts.netloc},{urlsplit(standby.url).netloc.rpartition('@')[2]}"
    return parts._replace(netloc=hosts, query="target_session_attrs=read-write").geturl()


@pytest.fixture
def deployment(
    servers: Servers, pair: tuple[Cluster, Standby], tmp_path: Path
) -> Iterator[Deployment]:
    primary, standby = pair
    urls = {service: postgresql.create(primary.url, service) for service in SERVICES}
    prefix = f"it_{secrets.token_hex(4)}."
    backends = Backends(
        payment_database_url=on_both(urls["payment_service"], standby),
        student_database_url=on_both(urls["student_service"], standby),
        broker_url=servers.broker.url,
        prefix=prefix,
    )
    with ExitStack() as stack:
        stack.callback(forget, servers.broker.url, prefix)
        place = Place(tmp_path, backends, servers.broker.url, urls)
        yield stack.enter_context(deployed(place))


def test_after_a_promotion_every_process_goes_on_by_itself_and_nothing_is_lost_or_doubled(
    deployment: Deployment, pair: tuple[Cluster, Standby]
) -> None:
    primary, standby = pair
    deployment.start()
    before = deployment.subscribe(order() for _ in range(10))
    deployment.accounts(before[:5])

    primary.crash()
    standby.promote()
    after = deployment.subscribe(order() for _ in range(10))

    deployment.active(after, within=BACK)
    accounts = deployment.accounts([*before, *after])
    assert [len(account.codes) for account in accounts] == [1] * 20
    assert len({account.subscription.access_code for account in accounts}) == 20
