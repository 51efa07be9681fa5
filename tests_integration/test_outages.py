"""While a side or a server is down, what was paid waits for it, and nothing is lost."""

from __future__ import annotations

from tests_integration.harness.accounts import Account
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.eventually import eventually
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order
from tools.system.system import PROCESSES

PAYMENT = [name for name in PROCESSES if name.startswith("payment")]
STUDENT = [name for name in PROCESSES if name.startswith("student")]

SOON = 8.0
"""Seconds in which what has waited is on its way once everything is up: the longest pause between
two tries is 5 s for a queue that did not exist, and about that for a broker."""


def one_code_each(accounts: list[Account]) -> bool:
    """Whether each subscription has one code of its own, mailed once."""
    return all(len(account.codes) == len(account.mails) == 1 for account in accounts) and len(
        {account.subscription.access_code for account in accounts}
    ) == len(accounts)


def test_orders_wait_while_the_student_side_is_down(
    deployment: Deployment,
) -> None:
    for name in STUDENT:
        deployment.system.stop(name)
    posted = deployment.subscribe(order() for _ in range(30))
    assert {subscription.status for subscription in posted} == {"pending"}

    deployment.start(*STUDENT)

    assert one_code_each(deployment.accounts(posted))


def test_orders_wait_for_a_student_side_that_never_was(
    new_deployment: Deployment,
) -> None:
    new_deployment.start("mail", *PAYMENT)
    posted = new_deployment.subscribe(order() for _ in range(30))
    relay = new_deployment.system.process("payment-relay")
    eventually(relay.output, lambda text: "nobody is bound" in text)

    new_deployment.start(*STUDENT)

    new_deployment.active(posted, within=SOON)
    assert one_code_each(new_deployment.accounts(posted))


@on_servers
def test_a_post_is_accepted_while_the_broker_is_down(deployment: Deployment) -> None:
    assert deployment.place.broker is not None
    deployment.place.broker.close()
    posted = deployment.subscribe(order() for _ in range(30))
    assert {subscription.status for subscription in posted} == {"pending"}

    deployment.place.broker.open()

    deployment.active(posted, within=15)
    assert one_code_each(deployment.accounts(posted))


@on_servers
def test_a_post_is_accepted_while_the_broker_is_silent(deployment: Deployment) -> None:
    assert deployment.place.broker is not None
    deployment.place.broker.silence()
    posted = deployment.subscribe(order() for _ in range(30))
    assert {subscription.status for subscription in posted} == {"pending"}

    deployment.place.broker.open()

    assert one_code_each(deployment.accounts(posted))


def test_codes_issued_while_the_mail_server_is_down_are_mailed_once(
    deployment: Deployment,
) -> None:
    deployment.kill("mail")
    active = deployment.active(deployment.subscribe(order() for _ in range(10)))

    deployment.start("mail")

    assert one_code_each(deployment.accounts(active))
