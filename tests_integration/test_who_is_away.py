"""Whoever is away, what was paid waits for them, and nothing is lost."""

from __future__ import annotations

from tests_integration.harness.eventually import eventually
from tests_integration.harness.house import Account, House
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import order
from tools.system.system import PROCESSES

PAYMENT = [name for name in PROCESSES if name.startswith("payment")]
STUDENT = [name for name in PROCESSES if name.startswith("student")]

SOON = 8.0
"""Seconds in which what has waited is on its way once nobody is away any more: the longest
pause between two tries is 5 s for a queue that did not exist, and about that for a broker."""


def one_code_each(accounts: list[Account]) -> bool:
    """Whether each subscription has one code of its own, mailed once."""
    return all(len(account.codes) == len(account.mails) == 1 for account in accounts) and len(
        {account.subscription.access_code for account in accounts}
    ) == len(accounts)


def test_what_is_paid_while_the_student_side_is_down_is_served_when_it_is_back(
    house: House,
) -> None:
    for name in STUDENT:
        house.system.stop(name)
    posted = house.subscribe(order() for _ in range(30))
    assert {subscription.status for subscription in posted} == {"pending"}

    house.start(*STUDENT)

    assert one_code_each(house.accounts(posted))


def test_what_is_paid_before_the_student_side_ever_was_waits_for_its_queue(
    new_house: House,
) -> None:
    new_house.start("mail", *PAYMENT)
    posted = new_house.subscribe(order() for _ in range(30))
    relay = new_house.system.process("payment-relay")
    eventually(relay.output, lambda text: "nobody is bound" in text)

    new_house.start(*STUDENT)

    new_house.active(posted, within=SOON)
    assert one_code_each(new_house.accounts(posted))


@on_servers
def test_a_post_is_accepted_while_the_broker_is_down(house: House) -> None:
    assert house.place.broker is not None
    house.place.broker.close()
    posted = house.subscribe(order() for _ in range(30))
    assert {subscription.status for subscription in posted} == {"pending"}

    house.place.broker.open()

    house.active(posted, within=15)
    assert one_code_each(house.accounts(posted))


@on_servers
def test_a_post_is_accepted_while_the_broker_is_silent(house: House) -> None:
    assert house.place.broker is not None
    house.place.broker.silence()
    posted = house.subscribe(order() for _ in range(30))
    assert {subscription.status for subscription in posted} == {"pending"}

    house.place.broker.open()

    assert one_code_each(house.accounts(posted))


def test_codes_are_issued_while_the_mail_server_is_down_and_mailed_once_when_it_is_back(
    house: House,
) -> None:
    house.kill("mail")
    active = house.active(house.subscribe(order() for _ in range(10)))

    house.start("mail")

    assert one_code_each(house.accounts(active))
