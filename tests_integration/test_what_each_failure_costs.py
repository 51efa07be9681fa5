"""What it costs when something dies in the middle of the work, row by row.

Whatever dies, at whatever moment, and comes back: each subscription that was paid has one code,
shown by the payment side, kept by the student side and mailed. Only a mail may come twice, with
the same Message-ID, when the one who was to write down "sent" died between the mail server's
yes and the commit. The moments are random; `-p randomly -p "randomly_seed=N"` brings them back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from admit_one.contract.envelope import Envelope
from shared_contracts.events import UserSubscribed

from tests_integration.chaos.faults.catalogue import FAULTS
from tests_integration.chaos.stage.moments import MAILS_AT_ONCE
from tests_integration.chaos.stage.stage import Stage, private_servers
from tests_integration.chaos.stage.stage import on_servers as on_private_servers
from tests_integration.harness.eventually import eventually
from tests_integration.harness.house import Account, House
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.payments import Subscription, order
from tests_integration.harness.places import Place
from tools.system.system import PROCESSES

ROUNDS = 2
FEW = 6
CUSTOMERS = 20
"""So many come at once in each round; something dies when some of their events have been said."""


@dataclass(frozen=True)
class Failure:
    """How it is brought about and mended, and whether mails may then come a second time."""

    costs: str
    strike: Callable[[House], None]
    mend: Callable[[House], None] = House.mend
    second_mail: bool = False


def death_of(*names: str) -> Callable[[House], None]:
    """`kill -9` of these processes, all at once."""
    return lambda house: house.kill(*names)


def cut_broker(house: House) -> None:
    assert house.place.broker is not None
    house.place.broker.cut()


def cut_databases(house: House) -> None:
    assert house.place.databases is not None
    house.place.databases.cut()


FAILURES = {
    "payment-web": Failure(
        "a customer without an answer sends the order again, with the same key",
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
        "nobody prunes or asks again meanwhile; the journey does not need it",
        death_of("payment-tasks"),
    ),
    "student-web": Failure(
        "nobody can ask it how it is; the journey does not need it",
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
        "every process connects again; a customer gets 503 and sends the order again",
        cut_databases,
        second_mail=True,
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_has_one_code_whatever_dies(house: House, failure: str) -> None:
    survive(house, FAILURES[failure])


@on_servers
@pytest.mark.parametrize("failure", FAILURES_OF_SERVERS)
def test_each_has_one_code_whatever_connection_breaks(house: House, failure: str) -> None:
    survive(house, FAILURES_OF_SERVERS[failure])


@dataclass(frozen=True)
class Tormented:
    """A system whose processes can be made to die at any moment, on servers that may be harmed."""

    house: House
    stage: Stage


@pytest.fixture(scope="module")
def tormented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tormented]:
    folder = tmp_path_factory.mktemp("tormented")
    with private_servers() as servers, on_private_servers(servers, folder) as stage:
        system = stage.system
        system.migrate()
        place = Place(folder, system.backends, servers.node.url, servers.broker, servers.databases)
        house = House(system, place, system.new_api_key())
        house.start()
        yield Tormented(house, stage)


HAPPENS_TO = {
    name: fault.targets
    for name, fault in FAULTS.items()
    if fault.on != "embedded" and name not in {"kill", "power cut"}  # those are above
}
MAILS_IN_DOUBT = {"mail late", "mail hang up"}
"""A server that takes mails and does not say so leaves each of them in doubt."""

STAND_STILL = ("payment-relay", "student-consumer", "student-tasks")
"""That is enough: who stands still is not harmed, and `make chaos` does it to all."""

HAPPENINGS = [
    pytest.param(name, target, id=f"{name}-{target}".replace(" ", "-").replace(":", "-"))
    for name, targets in HAPPENS_TO.items()
    for target in (STAND_STILL if name == "freeze" else targets)
]


@pytest.mark.parametrize(("name", "target"), HAPPENINGS)
def test_each_has_one_code_whatever_happens(tormented: Tormented, name: str, target: str) -> None:
    house, stage = tormented.house, tormented.stage
    house.mend()
    fault = FAULTS[name]
    with ThreadPoolExecutor(CUSTOMERS) as customers:
        before = [customers.submit(house.payments.subscribe, order()) for _ in range(FEW)]
        fault.begin(stage, target)
        meanwhile = [customers.submit(house.payments.subscribe, order()) for _ in range(FEW)]
        if name == "moment":
            process = target.partition(":")[0]
            eventually(house.system.running, lambda names: process not in names, within=20)
        else:
            time.sleep(fault.seconds[0])  # this waits for nothing: so long does it last
        happened = fault.end(stage, target)
        house.mend()
        paid = [customer.result() for customer in [*before, *meanwhile]]
    accounts = house.accounts(paid)
    mails = [len(account.mails) for account in accounts]

    assert happened
    assert recorded_twice(house, paid) == []
    assert {len(account.codes) for account in accounts} == {1}
    assert len({account.subscription.access_code for account in accounts}) == len(accounts)
    assert {len({mail.message_id for mail in account.mails}) for account in accounts} == {1}
    assert sum(mails) - len(mails) <= (
        len(mails) if name in MAILS_IN_DOUBT else fault.doubles_mails(target)
    )


def survive(house: House, failure: Failure) -> None:
    """Let `failure` happen a few times while people subscribe, and see what is left of them."""
    paid: list[Subscription] = []
    for _ in range(ROUNDS):
        paid += strike_among_customers(house, failure)
    accounts = house.accounts(paid)
    mails = [len(account.mails) for account in accounts]

    assert len({subscription.user_id for subscription in paid}) == ROUNDS * CUSTOMERS
    assert recorded_twice(house, paid) == []
    assert {len(account.codes) for account in accounts} == {1}
    assert len({account.subscription.access_code for account in accounts}) == len(accounts)
    assert {len({mail.message_id for mail in account.mails}) for account in accounts} == {1}
    assert sum(mails) - len(mails) <= (ROUNDS * MAILS_AT_ONCE if failure.second_mail else 0)
    assert kept_by_the_student_side(house, accounts)


def strike_among_customers(house: House, failure: Failure) -> list[Subscription]:
    """What a crowd of customers has paid for; `failure` happened while they were served."""
    with house.wire() as wire, ThreadPoolExecutor(CUSTOMERS) as customers:
        coming = [customers.submit(house.payments.subscribe, order()) for _ in range(CUSTOMERS)]
        wire.listen_until(random.randrange(2 * CUSTOMERS))  # each causes two events
        time.sleep(random.uniform(0, 0.02))  # this waits for nothing: any moment will do
        failure.strike(house)
        failure.mend(house)
        return [customer.result() for customer in coming]


def recorded_twice(house: House, paid: list[Subscription]) -> list[Subscription]:
    """Subscriptions that customers never heard of: an order recorded a second time."""
    known, customers = {s.id for s in paid}, {s.user_id for s in paid}
    return [s for s in house.payments.all() if s.user_id in customers and s.id not in known]


def kept_by_the_student_side(house: House, accounts: list[Account]) -> bool:
    """Whether it answers a request for each code, asked once more, with the very same code."""
    codes = {account.subscription.id: account.subscription.access_code for account in accounts}
    with house.wire() as wire:
        for account in accounts:
            wire.say(Envelope.of(asked_once_more(account.subscription)))

        def answers() -> dict[str, str]:
            replies = (wire.heard(subject, "access_code_created") for subject in codes)
            return {reply["subject"]: reply["data"]["access_code"] for r in replies for reply in r}

        return eventually(answers, lambda found: len(found) == len(codes)) == codes


def asked_once_more(subscription: Subscription) -> UserSubscribed:
    return UserSubscribed.model_validate(
        {
            "subscription_id": subscription.id,
            "user_id": subscription.user_id,
            "email": subscription.email,
            "plan": subscription.plan,
            "amount": subscription.amount,
            "currency": subscription.currency,
            "occurred_at": subscription.created_at,
        }
    )
