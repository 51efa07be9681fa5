"""`declare_topology`: what it declares and prints."""

from __future__ import annotations

import dataclasses

import pika
import pytest
from admit_one.messaging import conf
from admit_one.processes.database_errors import UNAVAILABLE, explained
from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import Error, connection, transaction

from tests import rabbit
from tests.contract import topology
from tests.contract.events import UserSubscribed


def test_a_dry_run_of_the_topology_touches_no_broker(capsys, messaging):
    messaging(BROKER_URL="amqp://nobody@127.0.0.1:1//", BROKER_PREFIX="p.")

    call_command("declare_topology", "--dry-run")

    first, *bound, last = capsys.readouterr().out.splitlines()
    assert first == "exchange  p.student_service.events"
    assert (
        "queue     p.student_service.inbox  <-  p.payment_service.events user_subscribed" in bound
    )
    assert last == "queue     p.student_service.dead"


def test_declaring_without_a_broker_fails_with_the_reason_and_no_password(messaging):
    messaging(BROKER_URL="amqp://nobody:hunter2@127.0.0.1:1//")

    with pytest.raises(CommandError, match="the broker does not answer") as caught:
        call_command("declare_topology")

    assert "hunter2" not in str(caught.value)


@pytest.fixture
def retired(monkeypatch):
    """The service handles one event, and has retired another's key and one of a lost exchange."""
    pairs = (("payment_service.events", "subscription_cancelled"), ("gone.events", "old"))
    student = dataclasses.replace(topology.STUDENT, handles=(UserSubscribed,), retired=pairs)
    monkeypatch.setitem(topology.TOPOLOGY._services, "student_service", student)
    conf.current.cache_clear()
    yield
    monkeypatch.undo()
    conf.current.cache_clear()


def test_retired_keys_are_unbound_and_the_others_stay(prefix, retired):
    for _ in range(2):  # the second time there is nothing left to unbind
        call_command("declare_topology")

    with rabbit.channel() as channel:
        channel.confirm_delivery()
        publish = (f"{prefix}payment_service.events", "subscription_cancelled", b"{}")
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish(*publish, mandatory=True)
    rabbit.send(prefix, b"{}")
    assert rabbit.depth(f"{prefix}student_service.inbox") == 1


@pytest.mark.parametrize(
    "argument",
    [
        "7K3M-Q9TX-2WBD-H5RN",
        "ada@example.org",
        "admit_0123456789ab_nQ8vK2mZr5tYw7xA1bC3dE4fG6hJ9kLp",
    ],
)
@pytest.mark.parametrize("before", [[], ["show"], ["list", "--older-than"]])
def test_a_refused_argument_is_not_repeated_if_it_is_secret(
    argument: str, before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        execute_from_command_line(["manage.py", "set_aside", *before, argument])

    printed = capsys.readouterr()
    assert "set_aside" in printed.err
    assert argument not in printed.out + printed.err


NOWHERE = "postgres://nobody:hunter2hunter2@127.0.0.1:1/none"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (NOWHERE, "the database cannot answer: "),
        ("sqlite:////{folder}/empty.sqlite3", "run manage.py migrate (no such table: "),
    ],
    ids=["down", "not migrated"],
)
def test_a_database_that_cannot_answer_is_one_line(run, tmp_path, url, said):
    command = run("prune_messages", DATABASE_URL=url.format(folder=tmp_path))

    assert command.wait() == UNAVAILABLE
    [line] = command.lines
    assert said in line
    assert "hunter2hunter2" not in line


@pytest.mark.django_db
def test_an_error_of_ours_keeps_its_traceback():
    with pytest.raises(Error) as ours, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO messaging_inbox (source) VALUES (NULL)")

    assert explained(ours.value) == ""
