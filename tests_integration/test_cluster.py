"""On a cluster of three RabbitMQ nodes: one is killed under load, and nothing stops for long.

Codes and mails go on while the node is away. While the majority is away all wait, in their
processes, and go on when it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests_integration.harness import places
from tests_integration.harness.accounts import (
    Account,
    assert_one_code_each,
    recorded_twice,
    second_mails,
)
from tests_integration.harness.deployment import Deployment, deployed
from tests_integration.harness.kinds import with_clusters
from tests_integration.harness.payments import Payments, Subscription, order
from tools.servers import Servers
from tools.servers.rabbitmq_cluster import Cluster
from tools.servers.rabbitmq_node import Node
from tools.system.eventually import eventually
from tools.system.system import PROCESSES

pytestmark = with_clusters

ORDER_EVERY = 0.1
"""Seconds between two orders of the load."""

BEFORE_IT, WITHOUT_IT = 20, 40
"""Orders that get their codes before the node is killed, and while it is away."""

WITHIN = 180.0
"""Seconds: a node that is away stays away until codes and mails have come without it."""


@pytest.fixture(scope="module")
def cluster(installed_rabbitmq: None) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack)


@pytest.fixture(scope="module")
def on_cluster(
    cluster: Cluster, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("cluster")
    with (
        places.on_cluster(cluster.url, servers.database.url, folder) as place,
        deployed(place) as deployment,
    ):
        deployment.start()
        yield deployment


class Load:
    """One client that orders all the time, and one that looks which codes have come."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._order, self._look)]
        self.ordered: list[Subscription] = []
        self.coded: set[str] = set()
        self.longest_silence = 0.0
        """Seconds without a new code, while somebody waited for one."""

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def until_coded(self, more: int) -> None:
        """Wait until so many of the orders from now on have their codes."""
        known = {subscription.id for subscription in self.ordered}
        eventually(lambda: len(self.coded - known) >= more, within=WITHIN)

    def _order(self) -> None:
        while not self._ended.wait(ORDER_EVERY):
            self.ordered.append(self._payments.subscribe(order()))

    def _look(self) -> None:
        since = time.monotonic()
        while not self._ended.wait(ORDER_EVERY):
            page = self._payments.call("GET", "/v1/subscriptions?limit=100").body["results"]
            coded = {each["id"] for each in page if each["status"] == "active"}
            silence = time.monotonic() - since
            if coded <= self.coded and len(page) > len(coded):
                self.longest_silence = max(self.longest_silence, silence)
            else:
                since = time.monotonic()
            self.coded |= coded


def leader_of_the_inbox(cluster: Cluster) -> Node:
    return cluster.leader("student_service.inbox")


def no_leader_of_the_inbox(cluster: Cluster) -> Node:
    leader = leader_of_the_inbox(cluster)
    return next(node for node in cluster.nodes if node is not leader)


@contextmanager
def away(*nodes: Node) -> Iterator[None]:
    """Kill nodes; start them at the end."""
    for node in nodes:
        node.kill()
    yield
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready(120)


@pytest.mark.parametrize("victim", [leader_of_the_inbox, no_leader_of_the_inbox])
def test_codes_and_mails_go_on_while_a_node_is_away(
    on_cluster: Deployment,
    cluster: Cluster,
    victim: Callable[[Cluster], Node],
) -> None:
    with Load(on_cluster.payments) as load:
        load.until_coded(BEFORE_IT)
        with away(victim(cluster)):
            load.until_coded(WITHOUT_IT)
            accounts = on_cluster.accounts(list(load.ordered), within=WITHIN)
    print(f"{len(load.ordered)} orders, {load.longest_silence:.1f} s without a new code at most")
    accounts = on_cluster.accounts(load.ordered)

    nothing_is_lost_or_doubled(on_cluster, accounts)


def test_without_a_majority_all_wait_in_their_processes_and_go_on(
    on_cluster: Deployment, cluster: Cluster
) -> None:
    with away(*cluster.nodes[1:]):
        posted = on_cluster.subscribe(order() for _ in range(20))
        worker = on_cluster.system.process("student-tasks")
        worker.until("student_service tasks waits: ")
        status = {subscription.status for subscription in posted}

    accounts = on_cluster.accounts(posted)

    assert status == {"pending"}
    nothing_is_lost_or_doubled(on_cluster, accounts)


def nothing_is_lost_or_doubled(deployment: Deployment, accounts: list[Account]) -> None:
    paid = [account.subscription for account in accounts]

    assert recorded_twice(deployment, paid) == []
    assert_one_code_each(accounts)
    assert second_mails(accounts) == 0
    assert set(deployment.system.running()) == set(PROCESSES)
