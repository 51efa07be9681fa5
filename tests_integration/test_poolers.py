"""The whole system behind a PgBouncer, in both of its modes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests_integration.harness import places
from tests_integration.harness.deployment import SETTINGS, Deployment, deployed
from tests_integration.harness.kinds import with_clusters
from tests_integration.harness.payments import order
from tests_integration.harness.places import Place
from tools.servers import Servers
from tools.servers.found import NotHere
from tools.servers.pgbouncer import Pooler
from tools.system.keys import kept_keys
from tools.system.system import SERVICES, CommandFailed, System

pytestmark = with_clusters


@pytest.fixture
def pooler(servers: Servers, mode: str) -> Iterator[Pooler]:
    with ExitStack() as stack:
        try:
            yield Pooler(stack, servers.database.url, mode)
        except NotHere as reason:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(reason))


@pytest.fixture
def pooled(servers: Servers, pooler: Pooler, mode: str, tmp_path: Path) -> Iterator[Deployment]:
    """A migrated system whose processes reach their databases through the pooler."""
    with places.on_servers(servers, tmp_path) as place:
        with deployed(place) as migrated:
            key = migrated.api_key
        ways = {service: pooler.way_to(url) for service, url in place.database_urls.items()}
        backends = replace(
            place.backends,
            payment_database_url=ways["payment_service"],
            student_database_url=ways["student_service"],
        )
        keys = kept_keys(tmp_path / "keys.json")
        with System(tmp_path, backends, keys=keys, settings=SETTINGS) as system:
            if mode == "transaction":
                run_what_a_refused_start_prints(system, place)
                pooler.reconnect()
            yield Deployment(system, place, key)


def run_what_a_refused_start_prints(system: System, place: Place) -> None:
    for service in SERVICES:
        with pytest.raises(CommandFailed) as refused:
            system.manage(service, "relay_outbox")
        with psycopg.connect(place.database_urls[service], autocommit=True) as server:
            for command in re.findall(r"ALTER ROLE .+? = '.+?'", str(refused.value)):
                server.execute(command.encode())


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_subscription_becomes_a_code_and_a_mail_behind_a_pooler(
    pooled: Deployment, pooler: Pooler
) -> None:
    pooled.start()
    before = pooled.accounts(pooled.subscribe(order() for _ in range(5)))
    pooler.kill()
    pooler.start()
    after = pooled.accounts(pooled.subscribe(order() for _ in range(5)))

    for account in (*before, *after):
        assert [mail.codes for mail in account.mails] == [(account.subscription.access_code,)]
