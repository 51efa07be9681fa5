"""What a retry cannot heal: a wiped broker, and a database restored from an older backup.

`manage.py reconcile --repair` brings both sides together again, with the codes that were mailed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from admit_one.contract import Service
from kombu import Connection
from psycopg import sql
from shared_contracts.topology import STUDENT

from tests_integration.harness.eventually import eventually
from tests_integration.harness.house import SETTINGS, Account, House, moved_in
from tests_integration.harness.payments import order
from tests_integration.harness.places import forget
from tools.servers.postgresql import of_database
from tools.system.rows import Rows
from tools.system.system import PROCESSES, CommandFailed

from .conftest import place
from .test_what_each_failure_costs import kept_by_the_student_side

SERVED = [name for name in PROCESSES if name != "mail"]
AT_ONCE = {"payment_service": {"RECONCILE_AFTER": "0"}}
"""What was paid a moment ago is compared, too."""

COUNT = 10


@pytest.fixture(scope="module")
def one_house(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(f"reconcile-{kind}")
    with (
        place(kind, request, folder) as found,
        moved_in(found, settings=SETTINGS | AT_ONCE) as house,
    ):
        yield house


@pytest.fixture
def house(one_house: House) -> House:
    one_house.mend()
    return one_house


def reconcile(house: House, *arguments: str) -> str:
    """What it prints; raises `CommandFailed` if it ends with another exit code than 0."""
    return house.system.manage("payment_service", "reconcile", "--wait", "60", *arguments)


def stop(house: House, *names: str) -> None:
    for name in names:
        house.system.stop(name)


def waiting(house: House, service: Service) -> int:
    """How many messages are in the inbox queue of a service."""
    with Connection(house.place.wire_url) as connection:
        channel: Any = connection.channel()
        queue = service.inbox(house.place.backends.prefix)
        return int(channel.queue_declare(queue, passive=True).message_count)


def test_what_was_lost_on_a_wiped_broker_gets_its_codes(house: House) -> None:
    stop(house, "student-consumer")
    lost_requests = house.subscribe(order() for _ in range(COUNT))
    eventually(lambda: waiting(house, STUDENT), lambda count: count == COUNT)
    stop(house, "payment-relay", "payment-consumer")
    forget(house.place.wire_url, house.place.backends.prefix)
    house.start("student-consumer", "payment-relay")
    lost_replies = house.subscribe(order() for _ in range(COUNT))
    stop(house, *SERVED)
    forget(house.place.wire_url, house.place.backends.prefix)
    house.mend()

    with pytest.raises(CommandFailed, match="paid, and no code has come"):
        reconcile(house)
    text = reconcile(house, "--repair")

    accounts = house.accounts([*lost_requests, *lost_replies])
    assert "both sides agree again" in text
    assert {len(account.codes) for account in accounts} == {1}
    assert {len(account.mails) for account in accounts} == {1}
    assert "both sides agree\n" in reconcile(house)


def test_a_student_database_that_was_restored_gets_back_the_codes_that_it_had(
    house: House,
) -> None:
    house.accounts(house.subscribe(order() for _ in range(COUNT)))
    stop(house, *SERVED)
    restore = backup(house, "student_service")
    house.mend()
    accounts = house.accounts(house.subscribe(order() for _ in range(COUNT)))
    stop(house, *SERVED)
    restore()
    house.mend()

    text = reconcile(house, "--repair")

    assert f"the student side has lost the code: {COUNT} repaired" in text
    assert kept_by_the_student_side(house, accounts)
    assert house.accounts([account.subscription for account in accounts]) == accounts
    assert "both sides agree\n" in reconcile(house)


def test_a_student_database_that_was_restored_revokes_again_what_was_cancelled(
    house: House,
) -> None:
    accounts = house.accounts(house.subscribe(order() for _ in range(COUNT)))
    stop(house, *SERVED)
    restore = backup(house, "student_service")
    house.mend()
    cancel(house, accounts)
    stop(house, *SERVED)
    restore()
    house.mend()

    with pytest.raises(CommandFailed, match="cancelled, and the code still lets in"):
        reconcile(house)
    text = reconcile(house, "--repair")

    assert f"cancelled, and the code still lets in: {COUNT} repaired" in text
    assert "both sides agree\n" in reconcile(house)


def test_a_payment_database_that_was_restored_gets_back_what_was_cancelled(house: House) -> None:
    accounts = house.accounts(house.subscribe(order() for _ in range(COUNT)))
    stop(house, *SERVED)
    restore = backup(house, "payment_service")
    house.mend()
    cancel(house, accounts)
    stop(house, *SERVED)
    restore()
    house.mend()

    text = reconcile(house, "--repair")

    assert f"a revoked code, and no cancellation is known: {COUNT} repaired" in text
    assert {house.payments.show(a.subscription.id).status for a in accounts} == {"cancelled"}
    assert "both sides agree\n" in reconcile(house)


def test_a_payment_database_that_was_restored_gets_back_what_was_paid(house: House) -> None:
    house.accounts(house.subscribe(order() for _ in range(COUNT)))
    stop(house, *SERVED)
    restore = backup(house, "payment_service")
    house.mend()
    accounts = house.accounts(house.subscribe(order() for _ in range(COUNT)))
    ids = [account.subscription.id for account in accounts]
    stop(house, *SERVED)
    restore()
    house.mend()

    text = reconcile(house, "--repair")
    lost = [one.id for one in house.payments.all() if one.id in ids]
    adopted = house.system.manage(
        "payment_service", "reconcile", "adopt", "--client", "local", *ids
    )

    assert f"a code, and no payment is known: {COUNT} repaired" in text
    assert lost == []
    assert adopted == f"{COUNT} subscriptions now belong to local\n"
    assert house.accounts([account.subscription for account in accounts]) == accounts
    assert "both sides agree\n" in reconcile(house)


def cancel(house: House, accounts: list[Account]) -> None:
    """Cancel these, and wait until the student side has confirmed each."""
    ids = [account.subscription.id for account in accounts]
    statuses = {house.payments.cancel(one).status for one in ids}
    with closing(Rows(house.place.backends.database_url("payment_service"))) as rows:
        unconfirmed = (
            "SELECT 1 FROM subscriptions_subscription "
            "WHERE cancelled_at IS NOT NULL AND code_revoked_at IS NULL LIMIT 1"
        )
        eventually(lambda: not rows.exist(unconfirmed))

    assert statuses == {202}


def backup(house: House, service: str) -> Callable[[], None]:
    """Copy the database of a service, of which no process runs; returns what brings it back."""
    url = house.place.backends.database_url(service)
    if url.startswith("sqlite:"):
        file = Path(urlsplit(url).path.removeprefix("/"))
        kept = file.with_suffix(".backup")
        copy_file(file, kept)
        return lambda: copy_file(kept, file)
    name = urlsplit(url).path.removeprefix("/")
    kept_name = f"{name}_backup"
    copy_database(url, name, kept_name)

    def restore() -> None:
        copy_database(url, kept_name, name)
        with psycopg.connect(of_database(url, "postgres"), autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(kept_name)))

    return restore


def copy_file(source: Path, target: Path) -> None:
    for leftover in target.parent.glob(f"{target.name}*"):
        leftover.unlink()
    read, written = sqlite3.connect(source), sqlite3.connect(target)
    read.backup(written)
    read.close()
    written.close()


def copy_database(url: str, source: str, target: str) -> None:
    names = {"source": sql.Identifier(source), "target": sql.Identifier(target)}
    with psycopg.connect(of_database(url, "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {target} WITH (FORCE)").format(**names))
        server.execute(sql.SQL("CREATE DATABASE {target} TEMPLATE {source}").format(**names))
