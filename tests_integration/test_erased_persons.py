"""Nothing is left of an erased person: not after a backup is restored, nor after a redelivery."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kombu import Connection
from shared_contracts.topology import TOPOLOGY

from tests_integration.harness.accounts import Account
from tests_integration.harness.backups import back_up
from tests_integration.harness.deployment import COMPARE_AT_ONCE, SETTINGS, Deployment, deployed
from tests_integration.harness.payments import order
from tests_integration.harness.persons import found
from tests_integration.harness.wire import Wire
from tools.system.eventually import eventually
from tools.system.system import PROCESSES, CommandFailed

from .conftest import place

BOTH_SIDES = [name for name in PROCESSES if name != "mail"]
NAME = "lovelace"

PAYMENT, STUDENT = "payment_service", "student_service"

COLUMNS = {
    f"{PAYMENT}.subscriptions_subscription.user_id",
    f"{PAYMENT}.subscriptions_subscription.email",
    f"{PAYMENT}.subscriptions_subscription.access_code",
    f"{PAYMENT}.subscriptions_subscription.metadata",
    f"{PAYMENT}.subscriptions_metadataentry.value",
    f"{PAYMENT}.web_idempotencykey.body",
    f"{STUDENT}.access_codes_accesscode.sealed_code",
    f"{STUDENT}.access_codes_accesscode.sealed_user_id",
    f"{STUDENT}.access_codes_mailintent.recipient",
    f"{STUDENT}.access_codes_redemption.reference",
    f"{STUDENT}.messaging_outbox.body",
}
"""Some of the columns that have something of the person before."""


@pytest.fixture
def deployment(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp(f"persons-{kind}")
    with (
        place(kind, request, folder) as here,
        deployed(here, settings=SETTINGS | COMPARE_AT_ONCE) as deployment,
    ):
        deployment.reset()
        yield deployment


def a_person(deployment: Deployment) -> Account:
    """A subscription whose code was mailed and redeemed."""
    sold = order(reference=f"{NAME}-1", metadata={"for": NAME})
    [account] = deployment.accounts(deployment.subscribe([sold]))
    platform = deployment.student_api()
    body = {"code": account.subscription.access_code, "reference": f"{NAME}-2"}
    platform.call("POST", "/v1/access-codes/redeem", body)
    return account


def texts(account: Account) -> tuple[str, ...]:
    paid = account.subscription
    return (paid.user_id, paid.email, str(paid.access_code), NAME)


def url_of(deployment: Deployment, service: str) -> str:
    backends = deployment.place.backends
    return backends.payment_database_url if service == PAYMENT else backends.student_database_url


def erase(deployment: Deployment, service: str, account: Account) -> None:
    """Erase the person from one side, until both sides have done it."""
    ours = account.subscription.id
    deployment.system.manage(service, "erase_person", "begin", "--subscription", ours, "--active")

    def is_done() -> bool:
        try:
            return "on the other side by" in deployment.system.manage(
                service, "erase_person", "show", ours
            )
        except CommandFailed:
            return False

    eventually(is_done, within=60.0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("begun_by", "restored"), [(PAYMENT, STUDENT), (STUDENT, PAYMENT)], ids=["there", "here"]
)
def test_a_person_stays_erased_after_a_restored_backup_and_a_redelivery(
    deployment: Deployment, begun_by: str, restored: str
) -> None:
    bodies: list[bytes] = []
    with Connection(deployment.place.wire_url) as connection:
        wire = Wire(connection, deployment.place.backends.prefix, bodies.append)
        account = a_person(deployment)
        wire.listen()
    person = texts(account)
    stop(deployment)
    restore = back_up(url_of(deployment, restored))
    deployment.reset()
    before = found(deployment, *person)

    erase(deployment, begun_by, account)
    after = found(deployment, *person)
    stop(deployment)
    restore()
    deployment.reset()
    again = found(deployment, *person)
    deployment.reconcile("--repair")
    repaired = eventually(lambda: found(deployment, *person), lambda left: not left, within=60.0)
    deliver_again(deployment, bodies)

    assert before >= COLUMNS
    assert {where.partition(".")[0] for where in again} == {restored}
    assert (after, repaired) == (set(), set())
    assert found(deployment, *person) == set()
    assert "both sides agree\n" in deployment.reconcile()


def stop(deployment: Deployment) -> None:
    for name in BOTH_SIDES:
        deployment.system.stop(name)


def deliver_again(deployment: Deployment, bodies: list[bytes]) -> None:
    """Publish every event once more, and wait until a later subscription has passed them."""
    with Connection(deployment.place.wire_url) as connection:
        wire = Wire(connection, deployment.place.backends.prefix, lambda _: None)
        for body in bodies:
            event = json.loads(body)
            producer = event["source"].lstrip("/")
            assert producer in TOPOLOGY
            wire.publish(producer, event["type"], body)
    deployment.accounts(deployment.subscribe([order()]))
