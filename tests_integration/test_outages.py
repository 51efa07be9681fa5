"""While a side or a server is down, subscriptions wait for it, and nothing is lost."""

from __future__ import annotations

from tests_integration.harness.accounts import Account
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order
from tools.system.eventually import eventually
from tools.system.system import PROCESSES

PAYMENT = [name for name in PROCESSES if name.startswith("payment")]
STUDENT = [name for name in PROCESSES if name.startswith("student")]

SOON = 8.0
"""Seconds within which waiting events are handled once everything is up: the longest pause between
attempts is about 5 s, for a missing queue and for a broker that is down."""


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


def test_orders_wait_for_a_student_side_that_was_never_deployed(
    new_deployment: Deployment,
) -> None:
    new_deployment.start("mail", *PAYMENT)
    posted = new_deployment.subscribe(order() for _ in range(30))
    relay = new_deployment.system.process("payment-relay")
    eventually(relay.output, lambda text: "no queue is bound" in text)

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


SAID_ONCE = {
    "payment-web": ("request_without_database", "requests_answered"),
    "payment-relay": ("process_waits", "process_works_again"),
    "student-relay": ("process_waits", "process_works_again"),
    "student-tasks": ("database_unavailable", "database_back"),
}
"""The events with which each process says that its database is unavailable, and is back."""


@on_servers
def test_each_process_reports_an_outage_of_its_database_once(deployment: Deployment) -> None:
    databases = deployment.place.databases
    assert databases is not None
    before = {name: len(deployment.system.process(name).lines) for name in SAID_ONCE}

    def since(name: str) -> list[str]:
        return deployment.system.process(name).lines[before[name] :]

    def each_said(which: int) -> list[int]:
        deployment.payments.post(order())
        return [
            sum(f"event={events[which]}" in line for line in since(name))
            for name, events in SAID_ONCE.items()
        ]

    databases.close()
    eventually(lambda: each_said(0), all)
    databases.open()
    eventually(lambda: each_said(1), all)

    assert (each_said(0), each_said(1)) == ([1, 1, 1, 1], [1, 1, 1, 1])
    assert [name for name in SAID_ONCE if "Traceback" in "".join(since(name))] == []


@on_servers
def test_a_worker_reports_an_outage_of_the_broker_once_and_without_tracebacks(
    deployment: Deployment,
) -> None:
    broker, worker = deployment.place.broker, deployment.system.process("student-tasks")
    assert broker is not None
    before = len(worker.lines)

    def said(event: str) -> int:
        return sum(f"event={event}" in line for line in worker.lines[before:])

    broker.close()
    eventually(lambda: said("tasks_not_scheduled"))
    broker.open()
    deployment.accounts(deployment.subscribe([order()]))
    eventually(lambda: said("tasks_scheduled_again"))

    assert (said("tasks_not_scheduled"), said("tasks_scheduled_again")) == (1, 1)
    assert [line for line in worker.lines[before:] if "Traceback" in line] == []
