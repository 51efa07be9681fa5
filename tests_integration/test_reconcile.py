"""Data loss that no retry can repair: a wiped broker, a database restored from an old backup.

`manage.py reconcile --repair` makes both sides agree again, with the codes that were mailed. What a
repair does depends on no broker, so one of each side's is tried on the embedded one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from admit_one.contract import Service
from kombu import Connection
from shared_contracts.topology import STUDENT

from tests_integration.harness.accounts import (
    Account,
    codes_at_the_payment_side,
    codes_at_the_student_side,
)
from tests_integration.harness.backups import back_up
from tests_integration.harness.deployment import (
    COMPARE_AT_ONCE,
    SETTINGS,
    Deployment,
    deployed,
)
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order
from tools.system.broker import forget
from tools.system.eventually import eventually
from tools.system.rows import Rows
from tools.system.system import PROCESSES, CommandFailed

from .conftest import place

BOTH_SIDES = [name for name in PROCESSES if name != "mail"]
COUNT = 10


@pytest.fixture(scope="module")
def one_deployment(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp(f"reconcile-{kind}")
    with (
        place(kind, request, folder) as here,
        deployed(here, settings=SETTINGS | COMPARE_AT_ONCE) as deployment,
    ):
        yield deployment


@pytest.fixture
def deployment(one_deployment: Deployment) -> Deployment:
    one_deployment.reset()
    return one_deployment


def stop(deployment: Deployment, *names: str) -> None:
    for name in names:
        deployment.system.stop(name)


def waiting(deployment: Deployment, service: Service) -> int:
    """How many messages are in the inbox queue of a service."""
    with Connection(deployment.place.wire_url) as connection:
        channel: Any = connection.channel()
        queue = service.inbox(deployment.place.backends.prefix)
        return int(channel.queue_declare(queue, passive=True).message_count)


def test_subscriptions_whose_events_a_wiped_broker_lost_get_their_codes(
    deployment: Deployment,
) -> None:
    stop(deployment, "student-consumer")
    lost_requests = deployment.subscribe(order() for _ in range(COUNT))
    eventually(lambda: waiting(deployment, STUDENT), lambda count: count == COUNT)
    stop(deployment, "payment-relay", "payment-consumer")
    forget(deployment.place.wire_url, deployment.place.backends.prefix)
    deployment.start("student-consumer", "payment-relay")
    lost_replies = deployment.subscribe(order() for _ in range(COUNT))
    stop(deployment, *BOTH_SIDES)
    forget(deployment.place.wire_url, deployment.place.backends.prefix)
    deployment.reset()

    with pytest.raises(CommandFailed, match="paid, but no code has arrived"):
        deployment.reconcile()
    text = deployment.reconcile("--repair")

    accounts = deployment.accounts([*lost_requests, *lost_replies])
    assert "both sides agree again" in text
    assert {len(account.codes) for account in accounts} == {1}
    assert {len(account.mails) for account in accounts} == {1}
    assert "both sides agree\n" in deployment.reconcile()


@on_servers
def test_a_restored_student_database_gets_its_codes_back(
    deployment: Deployment,
) -> None:
    deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    stop(deployment, *BOTH_SIDES)
    restore = back_up(deployment.place.backends.student_database_url)
    deployment.reset()
    accounts = deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    stop(deployment, *BOTH_SIDES)
    restore()
    deployment.reset()

    text = deployment.reconcile("--repair")

    assert f"the student side has lost the code: {COUNT} repaired" in text
    assert codes_at_the_student_side(deployment, accounts) == codes_at_the_payment_side(accounts)
    assert deployment.accounts([account.subscription for account in accounts]) == accounts
    assert "both sides agree\n" in deployment.reconcile()


@on_servers
def test_a_restored_student_database_revokes_cancelled_codes_again(
    deployment: Deployment,
) -> None:
    accounts = deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    stop(deployment, *BOTH_SIDES)
    restore = back_up(deployment.place.backends.student_database_url)
    deployment.reset()
    cancel(deployment, accounts)
    stop(deployment, *BOTH_SIDES)
    restore()
    deployment.reset()

    with pytest.raises(CommandFailed, match="cancelled, but the code still works"):
        deployment.reconcile()
    text = deployment.reconcile("--repair")

    assert f"cancelled, but the code still works: {COUNT} repaired" in text
    assert "both sides agree\n" in deployment.reconcile()


@on_servers
def test_a_restored_payment_database_gets_its_cancellations_back(deployment: Deployment) -> None:
    accounts = deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    stop(deployment, *BOTH_SIDES)
    restore = back_up(deployment.place.backends.payment_database_url)
    deployment.reset()
    cancel(deployment, accounts)
    stop(deployment, *BOTH_SIDES)
    restore()
    deployment.reset()

    text = deployment.reconcile("--repair")

    assert f"a revoked code, but no known cancellation: {COUNT} repaired" in text
    assert {deployment.payments.show(a.subscription.id).status for a in accounts} == {"cancelled"}
    assert "both sides agree\n" in deployment.reconcile()


def test_a_restored_payment_database_gets_its_subscriptions_back(deployment: Deployment) -> None:
    deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    stop(deployment, *BOTH_SIDES)
    restore = back_up(deployment.place.backends.payment_database_url)
    deployment.reset()
    accounts = deployment.accounts(deployment.subscribe(order() for _ in range(COUNT)))
    ids = [account.subscription.id for account in accounts]
    stop(deployment, *BOTH_SIDES)
    restore()
    deployment.reset()

    text = deployment.reconcile("--repair")
    lost = [shown.id for shown in deployment.payments.all() if shown.id in ids]
    adopted = deployment.system.manage(
        "payment_service", "reconcile", "adopt", "--client", "local", *ids
    )

    assert f"a code, but no known payment: {COUNT} repaired" in text
    assert lost == []
    assert adopted == f"{COUNT} subscriptions now belong to local\n"
    assert deployment.accounts([account.subscription for account in accounts]) == accounts
    assert "both sides agree\n" in deployment.reconcile()


def cancel(deployment: Deployment, accounts: list[Account]) -> None:
    """Cancel these, and wait until the student side has confirmed all."""
    ids = [account.subscription.id for account in accounts]
    statuses = {deployment.payments.cancel(id_).status for id_ in ids}
    with closing(Rows(deployment.place.backends.database_url("payment_service"))) as rows:
        unconfirmed = (
            "SELECT 1 FROM subscriptions_subscription "
            "WHERE cancelled_at IS NOT NULL AND code_revoked_at IS NULL LIMIT 1"
        )
        eventually(lambda: not rows.exist(unconfirmed))

    assert statuses == {202}
