"""What only a database with several writers at once can show."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from admit_one.contract.errors import Malformed
from admit_one.database.bulk import update_from
from admit_one.messaging import conf, outbox
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.models import InboxMessage, OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping, retrying
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.sealing import canaries, rotation
from admit_one.sealing.models import KeyCanary
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.models.signals import pre_migrate
from shared_contracts.events import AccessCodeCreated, UserSubscribed

from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(*functions):
    """Run each in a thread with a database connection of its own; their results in order."""

    def run(function):
        try:
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def the_limit_of_a_statement():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]


def test_a_migration_may_outlast_the_statement_timeout():
    seen = []

    def look(**_):
        seen.append(the_limit_of_a_statement())

    pre_migrate.connect(look, sender=apps.get_app_config("tests"))
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(look, sender=apps.get_app_config("tests"))

    assert (seen, the_limit_of_a_statement()) == (["0"], "8s")


def test_too_long_a_text_for_its_column_raises():
    SetAside.objects.create(delivery="d", state="dead", body=b"")
    rows = [{"delivery": "d", "fingerprint": "x" * 256}]

    with pytest.raises(DatabaseError):
        update_from(SetAside, rows, key="delivery", only_where_null="closed_at")


def test_overlapping_batches_in_opposite_order_do_not_deadlock():
    for _ in range(10):
        batch = [an_envelope(UserSubscribed) for _ in range(60)]
        start = threading.Barrier(4)

        def consume(messages, start=start):
            start.wait()
            return [outcome.result for outcome in deliver(*messages)]

        outcomes = in_threads(
            lambda batch=batch: consume(batch),
            lambda batch=batch: consume(batch[::-1]),
            lambda batch=batch: consume(batch[30:] + batch[:30]),
            lambda batch=batch: consume(batch[::2]),
        )

        results = [result for part in outcomes for result in part]
        assert results.count(Result.HANDLED) == 60
        assert set(results) == {Result.HANDLED, Result.DUPLICATE}

    assert Effect.objects.count() == 600
    assert InboxMessage.objects.count() == 600


def test_a_waiting_consumer_handles_an_event_that_another_rolled_back(handle):
    request = an_envelope(UserSubscribed)
    entered, waited = threading.Event(), threading.Event()

    def first_fails(messages):
        if not entered.is_set():
            entered.set()
            waited.wait(10)
            raise ZeroDivisionError
        Effect.objects.create(subscription_id=messages[0].data.subscription_id)

    handle(first_fails)

    def fail():
        with pytest.raises(ZeroDivisionError):
            deliver(request)

    def second():
        entered.wait(10)
        threading.Timer(0, _when_somebody_waits, [waited]).start()
        [outcome] = deliver(request)
        return outcome.result

    _, result = in_threads(fail, second)

    assert result == Result.HANDLED
    assert Effect.objects.count() == 1


def _when_somebody_waits(tell: threading.Event) -> None:
    """Tell as soon as a session of this database waits for another's lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    try:
        for _ in range(1_000):
            with connection.cursor() as cursor:
                cursor.execute(waiting)
                if cursor.fetchone()[0]:
                    break
            threading.Event().wait(0.01)
    finally:
        tell.set()
        connections.close_all()


def test_two_consumers_never_retry_the_same_message(handle):
    for _ in range(20):
        message = Received.read(an_envelope(UserSubscribed).to_json(), queue="q")
        keeping.keep(message, ValueError(), dead=False)
    SetAside.objects.update(next_attempt_at="2020-01-01T00:00Z")

    def retry_all():
        tried = 0
        while retrying.retry_one(conf.handlers(), lambda step: step()):
            tried += 1
        return tried

    tried = in_threads(retry_all, retry_all)

    assert sum(tried) == 20
    assert Effect.objects.count() == 20
    assert set(SetAside.objects.values_list("attempts", flat=True)) == {1}


def test_two_consumers_that_set_aside_one_message_write_one_row():
    message = Received.read(b"{", queue="q")
    start = threading.Barrier(4)

    def keep():
        start.wait()
        keeping.keep(message, Malformed(), dead=True)

    in_threads(keep, keep, keep, keep)

    assert len(SetAside.objects.get().history) == 4


def test_waiting_for_a_lock_ends():
    row = SetAside.objects.create(delivery="d", state="dead", body=b"")
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            SetAside.objects.select_for_update().get(id=row.id)
            held.set()
            done.wait(30)

    def want():
        held.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            with pytest.raises(OperationalError):
                SetAside.objects.filter(id=row.id).update(reason="x")
        finally:
            done.set()

    in_threads(hold, want)


def test_a_rotation_skips_locked_rows_and_says_so(messaging):
    """Such as a relay, which holds its rows until the broker has answered."""
    messaging(SEALING_KEYS={"k1": b"1" * 32})
    canaries.check()
    with transaction.atomic():
        outbox.publish(*(an_envelope(AccessCodeCreated) for _ in range(20)))
    messaging(SEALING_KEYS={"k2": b"2" * 32, "k1": b"1" * 32})
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(OutboxMessage.objects.order_by("id").select_for_update()[:5])
            held.set()
            assert done.wait(20)

    def rotate():
        assert held.wait(20)
        try:
            return rotation.rotate(lambda *_: None)[0]
        finally:
            done.set()

    _, first = in_threads(hold, rotate)
    kept = KeyCanary.objects.filter(key_id="k1").exists()
    second = rotation.rotate(lambda *_: None)[0]

    assert (first.renewed, first.held["k1"], kept) == (15, 5, True)
    assert (second.renewed, second.held.total()) == (5, 0)
    assert not KeyCanary.objects.filter(key_id="k1").exists()
