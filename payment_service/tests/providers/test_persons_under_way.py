"""Open events of a person while others handle them, processes die, keys change and time passes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from admit_one.acts.models import Act
from admit_one.erasure.definition import Person
from admit_one.erasure.testing import found
from admit_one.sealing import canaries
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from providers import by_hand, handling, persons, retention, tasks
from providers.erasing import erase_open
from providers.fake_stripe import event
from providers.models import ProviderEvent, ProviderPerson
from pytest_django import Settings
from subscriptions.models import Subscription

from tests.factories import a_subscription
from tests.providers.stripe_steps import (
    COMPLETED,
    ENDED,
    FAILED,
    PAID,
    SALE,
    at_once,
    send,
    stripe_sends,
    the_event,
)
from tests.providers.test_dying import Died, DyingAt
from tests.test_erase_person import run
from tools.system.eventually import eventually
from tools.system.races import in_a_thread, somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer at a time"
)

USER = "user-42"
PERSON = ("ada@example.com", "lovelace", USER)
BY_ADDRESS = ("--email", "ada@example.com")


def without_plan() -> ProviderEvent:
    stripe_sends(COMPLETED, replace(SALE, plan=None))
    return the_event(COMPLETED)


def due() -> ProviderEvent:
    """One that an operator tries again: only such a one is locked by who then locks its ids."""
    row = without_plan()
    ProviderEvent.objects.update(state=ProviderEvent.State.RECEIVED)
    return row


def erase_until_done(*named: str) -> None:
    """As an operator does whom the command asks to begin again."""
    for _ in range(10):
        try:
            run("begin", *(named or BY_ADDRESS), "--active")
        except CommandError as error:
            if "nothing is kept" in str(error):
                return
        else:
            return
    raise AssertionError("expected an erasure to end, and it did not")


def ids() -> list[str]:
    return sorted(persons.find(Person(emails=["ada@example.com"])).subjects)


@on_postgresql
@pytest.mark.parametrize("turn", range(5))
def test_whatever_is_handled_meanwhile_nothing_is_left_in_the_end(turn: int) -> None:
    stripe_sends(PAID)
    without_plan()
    at_once(
        erase_until_done,
        lambda: send(event(FAILED, SALE, period=2)),
        lambda: send(event(ENDED, SALE)),
        handling.handle_due,
    )
    handling.handle_due()
    erase_until_done()

    assert found(*PERSON) == set()
    assert not ProviderEvent.objects.filter(handled_at=None).exists()
    assert ProviderPerson.objects.count() == 0


@on_postgresql
def test_an_event_that_is_being_recorded_is_waited_for() -> None:
    row = due()
    chosen = ids()
    with transaction.atomic():
        locked = ProviderEvent.objects.select_for_update().get(pk=row.pk)
        handling.again(locked, plan="gold")
        erasing = in_a_thread(lambda: erase_open(chosen, "grace"))
        eventually(somebody_waits)

    assert erasing.result(30) == chosen
    assert the_event(COMPLETED).subscription_id == Subscription.objects.get().pk


@on_postgresql
def test_an_event_that_is_to_be_handled_finds_that_its_person_was_erased() -> None:
    row = due()
    chosen = ids()
    with transaction.atomic():
        locked = ProviderEvent.objects.select_for_update().get(pk=row.pk)
        erasing = in_a_thread(lambda: erase_open(chosen, "grace"))
        eventually(somebody_waits)
        handling.again(locked, plan="gold")

    assert erasing.result(30) == []
    assert found(*PERSON) == set()
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize("statement", range(1, 25, 2))
def test_an_erasure_that_dies_is_done_by_the_next(statement: int) -> None:
    stripe_sends(PAID)
    without_plan()
    try:
        with connection.execute_wrapper(DyingAt(statement)):
            run("begin", *BY_ADDRESS, "--active", "--by", "grace")
    except Died:
        connection.close()
    handling.handle_due()
    erase_until_done()

    assert found(*PERSON) == set()
    assert Subscription.objects.count() == 0


@pytest.mark.filterwarnings("ignore:Exception ignored in.*ServerCursor")
@pytest.mark.parametrize("statement", range(1, 100, 4))
def test_the_erasure_of_a_subscription_that_dies_forgets_no_open_event(statement: int) -> None:
    without_plan()
    row = a_subscription(client="stripe", user_id=USER, email="ada@example.com")
    try:
        with connection.execute_wrapper(DyingAt(statement)):
            run("begin", "--subscription", str(row.pk), "--active")
    except Died:
        connection.close()
    erase_until_done("--subscription", str(row.pk))

    assert found(*PERSON) == set()


def test_they_are_found_after_a_rotation_without_the_old_key(settings: Settings) -> None:
    def given(sealing_keys: Mapping[str, bytes]) -> None:
        settings.SEALING_KEYS = sealing_keys
        canaries.check()

    old, new = {"k1": b"1" * 32}, {"k2": b"2" * 32}
    given(old)
    without_plan()
    chosen = ids()
    given({**new, **old})
    before_it = ids()
    out = io.StringIO()
    call_command("rotate_keys", stdout=out)
    given(new)

    assert [before_it, ids()] == [chosen, chosen]
    assert len(chosen) == 1
    assert "k1 may be removed from SEALING_KEYS." in out.getvalue()
    run("begin", *BY_ADDRESS, "--active")
    assert found(*PERSON) == set()


def as_before() -> None:
    """As the release before left its open events."""
    ProviderPerson.objects.all().delete()
    ProviderEvent.objects.update(persons_noted=False)


def test_events_of_before_are_found_once_the_task_has_run() -> None:
    without_plan()
    stripe_sends(PAID)
    as_before()
    before = ids(), persons.unsearched()
    tasks.prune_provider_events()

    assert before == ([], 2)
    assert (len(ids()), persons.unsearched()) == (2, 0)
    tasks.prune_provider_events()
    assert ProviderPerson.objects.count() == 3


def test_what_no_key_opens_stops_no_other_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = without_plan()
    stripe_sends(PAID)
    as_before()
    monkeypatch.setattr(persons, "BATCH", 1)
    ProviderEvent.objects.filter(pk=lost.pk).update(body=b"\x82k9" + b"0" * 40)
    persons.note_earlier()

    assert ids() == [str(the_event(PAID).pk)]
    assert "1 open events cannot be read, and may be anybody's" in run(
        "begin", *BY_ADDRESS, "--active"
    )


def test_what_no_key_opens_is_erased_if_it_was_noted() -> None:
    row = without_plan()
    canaries.check()
    ProviderEvent.objects.filter(pk=row.pk).update(body=b"\x82k9" + b"0" * 40)

    run("begin", *BY_ADDRESS, "--active")

    assert the_event(COMPLETED).body is None
    assert ProviderPerson.objects.count() == 0


def aged(days: int, *kinds: str) -> None:
    at = timezone.now() - timedelta(days=days)
    ProviderEvent.objects.filter(type__in=kinds).update(received_at=at)


def test_open_events_are_closed_after_90_days(caplog: pytest.LogCaptureFixture) -> None:
    row = without_plan()
    by_hand.retry(row.pk, by="grace", reason="nobody answers", given={})
    for kind in (PAID, ENDED):
        stripe_sends(kind)
    ProviderEvent.objects.filter(type=ENDED).update(state="failed")
    aged(91, COMPLETED, ENDED)
    aged(89, PAID)
    tasks.prune_provider_events()
    tasks.prune_provider_events()

    closed = the_event(COMPLETED)
    assert (closed.state, closed.body) == ("ignored", None)
    assert closed.reason == "nobody had handled it for 90 days"
    assert closed.handled_at is not None
    assert (the_event(ENDED).state, the_event(PAID).state) == ("ignored", "unmatched")
    assert ids() == [str(the_event(PAID).pk)]
    assert Act.objects.get().by == "grace"
    [warning] = [each for each in caplog.messages if each.startswith("closed ")]
    assert warning == "closed 2 events of payment providers that nobody had handled for 90 days"


@on_postgresql
def test_what_is_being_handled_is_not_closed() -> None:
    without_plan()
    aged(91, COMPLETED)
    with transaction.atomic():
        ProviderEvent.objects.select_for_update().get()
        closed = in_a_thread(retention.close_old).result(30)

    assert closed == 0
    assert the_event(COMPLETED).state == "unmatched"


def test_a_body_and_whom_it_names_are_one_commit() -> None:
    for statement in range(1, 30):
        try:
            with connection.execute_wrapper(DyingAt(statement)):
                send(event(PAID, replace(SALE, name=f"s{statement}")))
        except Died:
            connection.close()
        else:
            break

    noted = set(ProviderPerson.objects.values_list("event", flat=True))
    assert noted == set(ProviderEvent.objects.values_list("pk", flat=True))
    assert len(noted) == 1
