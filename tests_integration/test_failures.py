"""What it costs when a process or a connection dies at a random time, row by row.

Whatever dies and comes back: each subscription that was paid has one code, shown by the payment
side, kept by the student side and mailed. Only a mail may come twice, with the same Message-ID,
when the worker died between the mail server's reply and the commit.
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
"""So many order at once in each round; something dies when some of their events are published."""


@dataclass(frozen=True)
class Failure:
    """How it is brought about and mended, and whether mails may then come a second time."""

    costs: str
    strike: Callable[[Deployment], None]
    mend: Callable[[Deployment], None] = Deployment.mend
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
        "a client without an answer sends the order again, with the same key",
        death_of("payment-web"),
    ),
    "payment-relay": Failure(
        "events wait in the outbox; some are sent twice, and the inbox drops the second",
        death_of("payment-relay"),
    ),
    "payment-consumer": Failure(
        "replies wait in the queue; some are delivered twice, and the inbox drops the second",
        death_of("payment-consumer"),
    ),
    "payment-tasks": Failure(
        "nobody prunes or repeats requests meanwhile; the journey does not need it",
        death_of("payment-tasks"),
    ),
    "student-web": Failure(
        "its health is unknown; the journey does not need it",
        death_of("student-web"),
    ),
    "student-relay": Failure(
        "replies wait in the outbox; some are sent twice, and the inbox drops the second",
        death_of("student-relay"),
    ),
    "student-consumer": Failure(
        "requests wait in the queue; some are delivered twice, and the inbox drops the second",
        death_of("student-consumer"),
    ),
    "student-tasks": Failure(
        "mails wait; those that were just being sent may come twice",
        death_of("student-tasks"),
        second_mail=True,
    ),
    "mail": Failure(
        "mails wait; those that were just being taken may come twice",
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
        "every process connects again; what was in flight is sent or delivered twice",
        cut_broker,
    ),
    "database-connections": Failure(
        "every process connects again; a client gets 503 and sends the order again",
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
    """Let `failure` happen a few times while people subscribe, and see what is left of them."""
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
    """What a crowd of clients has paid for; `failure` happened while they were served."""
    with deployment.wire() as wire, ThreadPoolExecutor(CLIENTS) as clients:
        coming = [clients.submit(deployment.payments.subscribe, order()) for _ in range(CLIENTS)]
        wire.listen_until(random.randrange(2 * CLIENTS))  # each causes two events
        time.sleep(random.uniform(0, 0.02))  # this waits for nothing: any time will do
        failure.strike(deployment)
        failure.mend(deployment)
        return [client.result() for client in coming]
