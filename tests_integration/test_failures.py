"""What it costs when a process or a connection dies at a random time.

Each paid subscription still has one code, the same on both sides and in its mail. A mail may arrive
twice, with the same Message-ID, if the worker died between the mail server's reply and the commit.
`-p randomly -p "randomly_seed=N"` repeats the times.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests_integration.chaos.stage.crash_points import MAILS_AT_ONCE
from tests_integration.harness.accounts import (
    assert_one_code_each,
    codes_at_the_payment_side,
    codes_at_the_student_side,
    recorded_twice,
    second_mails,
)
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import Subscription, order
from tools.system.system import PROCESSES

ROUNDS = 2
CLIENTS = 20
"""Clients that order at the same time in each round."""


@dataclass(frozen=True)
class Failure:
    """How it is caused, and whether mails may arrive twice because of it."""

    costs: str
    strike: Callable[[Deployment], None]
    second_mail: bool = False


def death_of(*names: str) -> Callable[[Deployment], None]:
    """`kill -9` of these processes, all at once."""
    return lambda deployment: deployment.kill(*names)


def cut_broker(deployment: Deployment) -> None:
    assert deployment.place.broker is not None
    deployment.place.broker.cut()


def cut_databases(deployment: Deployment) -> None:
    assert deployment.place.databases is not None
    deployment.place.databases.cut()


FAILURES = {
    "payment-web": Failure(
        "a client without an answer repeats its POST, with the same key",
        death_of("payment-web"),
    ),
    "payment-relay": Failure(
        "events wait in the outbox; some are published twice, and the inbox drops the duplicates",
        death_of("payment-relay"),
    ),
    "payment-consumer": Failure(
        "replies wait in the queue; some are delivered twice, and the inbox drops the duplicates",
        death_of("payment-consumer"),
    ),
    "payment-tasks": Failure(
        "pruning and repeated requests wait; no subscription needs them",
        death_of("payment-tasks"),
    ),
    "student-web": Failure(
        "its health checks fail; no subscription needs it",
        death_of("student-web"),
    ),
    "student-relay": Failure(
        "replies wait in the outbox; some are published twice, and the inbox drops the duplicates",
        death_of("student-relay"),
    ),
    "student-consumer": Failure(
        "requests wait in the queue; some are delivered twice, and the inbox drops the duplicates",
        death_of("student-consumer"),
    ),
    "student-tasks": Failure(
        "mails wait; those being sent may arrive twice",
        death_of("student-tasks"),
        second_mail=True,
    ),
    "mail": Failure(
        "mails wait; those being accepted may arrive twice",
        death_of("mail"),
        second_mail=True,
    ),
    "all-at-once": Failure(
        "a power cut: all of the above together",
        death_of(*PROCESSES),
        second_mail=True,
    ),
}
FAILURES_OF_SERVERS = {
    "broker-connections": Failure(
        "every process reconnects; messages in flight are published or delivered twice",
        cut_broker,
    ),
    "database-connections": Failure(
        "every process reconnects; a client gets 503 and repeats its POST",
        cut_databases,
        second_mail=True,
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_subscription_has_one_code_whatever_dies(deployment: Deployment, failure: str) -> None:
    survive(deployment, FAILURES[failure])


@on_servers
@pytest.mark.parametrize("failure", FAILURES_OF_SERVERS)
def test_each_subscription_has_one_code_whatever_connection_breaks(
    deployment: Deployment, failure: str
) -> None:
    survive(deployment, FAILURES_OF_SERVERS[failure])


def survive(deployment: Deployment, failure: Failure) -> None:
    """Cause `failure` a few times while clients subscribe, and check every subscription."""
    paid: list[Subscription] = []
    for _ in range(ROUNDS):
        paid += strike_among_clients(deployment, failure)
    accounts = deployment.accounts(paid)

    assert len({subscription.user_id for subscription in paid}) == ROUNDS * CLIENTS
    assert recorded_twice(deployment, paid) == []
    assert_one_code_each(accounts)
    assert second_mails(accounts) <= (ROUNDS * MAILS_AT_ONCE if failure.second_mail else 0)
    assert codes_at_the_student_side(deployment, accounts) == codes_at_the_payment_side(accounts)


def strike_among_clients(deployment: Deployment, failure: Failure) -> list[Subscription]:
    """The subscriptions of many clients, created while `failure` happened."""
    with deployment.wire() as wire, ThreadPoolExecutor(CLIENTS) as clients:
        coming = [clients.submit(deployment.payments.subscribe, order()) for _ in range(CLIENTS)]
        wire.listen_until(random.randrange(2 * CLIENTS))  # each causes two events
        time.sleep(random.uniform(0, 0.02))  # to strike at a random time
        failure.strike(deployment)
        deployment.reset()
        return [client.result() for client in coming]
