"""What can be tested only on a database with several concurrent writers."""

from __future__ import annotations

import re
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import pytest
from admit_one.contract.errors import Malformed
from admit_one.database import outage, session, wake_up
from admit_one.database.bulk import update_from
from admit_one.messaging import conf, outbox
from admit_one.messaging.inbox import Received, Result
from admit_one.messaging.metrics import oldest_unsent_age
from admit_one.messaging.models import InboxMessage, OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping, retrying
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.sealing import canaries, rotation
from admit_one.sealing.models import KeyCanary
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.models.signals import pre_migrate
from django.db.utils import load_backend

from tests import handlers
from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect
from tests.test_metrics import wait_since
from tools.system.eventually import eventually

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


def test_a_test_database_may_be_dropped_slowly():
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        limit = cursor.fetchone()

    assert limit == ("0",)


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


# sessions


@pytest.fixture
def defaults():
    """Give new sessions of this database other defaults: `defaults(lock_timeout="0")`."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    given = []

    def alter(**settings):
        with connection.cursor() as cursor:
            for setting, value in settings.items():
                cursor.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
                given.append(setting)

    yield alter
    with connection.cursor() as cursor:
        for setting in given:
            cursor.execute(f"ALTER DATABASE {name} RESET {setting}")


@pytest.fixture
def new_session():
    """A connection as a process makes it, by our backend or by another."""
    made = []

    def make(engine=session.OUR_BACKEND):
        backend = load_backend(engine)
        made.append(backend.DatabaseWrapper({**connection.settings_dict, "ENGINE": engine}))
        return made[-1]

    yield make
    for each in made:
        each.close()


OTHERS = {
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "1min",
    "timezone": "Asia/Tokyo",
    "client_encoding": "LATIN1",
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "idle_session_timeout": "1min",
}


def shown(database, names):
    values = {}
    with database.cursor() as cursor:
        for name in names:
            cursor.execute(f"SHOW {name}")
            values[name] = cursor.fetchone()[0]
    return values


def test_a_session_has_our_settings_whatever_the_databases_defaults(defaults, new_session):
    defaults(**OTHERS)

    assert shown(new_session(), [*OTHERS, "transaction_isolation"]) == {
        "default_transaction_isolation": "read committed",
        "synchronous_commit": "on",
        "statement_timeout": "8s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
        "timezone": "UTC",
        "client_encoding": "UTF8",
        "datestyle": "ISO, MDY",
        "intervalstyle": "postgres",
        "bytea_output": "hex",
        "standard_conforming_strings": "on",
        "idle_session_timeout": "0",
        "transaction_isolation": "read committed",
    }


def test_a_stronger_commit_is_left_as_it_is(defaults, new_session):
    defaults(synchronous_commit="remote_apply")

    assert shown(new_session(), ["synchronous_commit"]) == {"synchronous_commit": "remote_apply"}


def test_a_session_that_could_not_be_set_up_is_not_used(new_session, monkeypatch):
    monkeypatch.setitem(session.LIMITS, "lock_timeout", "no number")
    unfinished = new_session()

    with pytest.raises(DatabaseError):
        unfinished.ensure_connection()

    assert unfinished.connection is None


@pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])
def test_a_process_works_in_spite_of_the_databases_defaults(start, defaults, command):
    defaults(**OTHERS)
    process = start(command).until_ready()

    assert process.stop()[0] == 0


def test_what_does_not_hold_is_named_and_ends_the_start(new_session, monkeypatch):
    other = new_session()
    with other.cursor() as cursor:  # as a pooler may, between two transactions
        cursor.execute("SET lock_timeout = 0; SET default_transaction_isolation = serializable")
    monkeypatch.setattr(session, "connection", other)

    with pytest.raises(session.UnfitSession) as unfit:
        session.check()

    assert (
        "expected default_transaction_isolation = read committed, got serializable; "
        "lock_timeout = 5000, got 0." in str(unfit.value)
    )


def test_another_backend_is_warned_about_limits_and_refused_without_guarantees(
    defaults, new_session, monkeypatch, caplog
):
    monkeypatch.setattr(session, "connection", new_session("django.db.backends.postgresql"))
    session.check()
    assert "better statement_timeout = 8000, got 0; lock_timeout = 5000, got 0" in caplog.text

    defaults(synchronous_commit="off")
    monkeypatch.setattr(session, "connection", new_session("django.db.backends.postgresql"))
    with pytest.raises(session.UnfitSession, match="synchronous_commit = on, got off"):
        session.check()


def test_what_only_an_administrator_may_set_is_warned_about(new_session, monkeypatch, caplog):
    other = new_session()
    with other.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    monkeypatch.setattr(session, "connection", other)
    session.check()

    assert "session_replication_role is replica: foreign keys are not checked" in caplog.text


def test_a_role_that_does_not_see_every_row_is_refused(new_session, monkeypatch):
    """Such as an outbox that looks empty: nothing would ever be published, and nothing said."""
    other, role = new_session(), f"blind_{uuid4().hex}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE ROLE {role}; ALTER TABLE messaging_outbox ENABLE ROW LEVEL SECURITY"
        )
    with other.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
    monkeypatch.setattr(session, "connection", other)
    try:
        with pytest.raises(session.UnfitSession, match=r"hides rows .* in messaging_outbox:"):
            session.check()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                f"DROP ROLE {role}; ALTER TABLE messaging_outbox DISABLE ROW LEVEL SECURITY"
            )


def test_behind_a_transaction_pooler_the_roles_defaults_must_do(new_session, monkeypatch):
    monkeypatch.setattr(session, "is_pooled_by_transaction", lambda: True)
    monkeypatch.setattr(session, "pooled_by_transaction", False)
    monkeypatch.setitem(connections.settings["default"], "DISABLE_SERVER_SIDE_CURSORS", False)
    monkeypatch.setattr(session, "connection", new_session())

    with pytest.raises(session.UnfitSession) as unfit:
        session.check()
    commands = re.findall(r"ALTER ROLE .+? = '.+?'", str(unfit.value))
    names = re.findall(r" SET (\w+) = ", " ".join(commands))
    with connection.cursor() as cursor:
        try:
            for command in commands:
                cursor.execute(command)
            monkeypatch.setattr(session, "connection", new_session())
            session.check()
        finally:
            cursor.execute(re.sub(" SET .*", " RESET ALL", commands[0]))

    assert set(session.LIMITS) <= set(names)
    assert session.pooled_by_transaction
    assert connections.settings["default"]["DISABLE_SERVER_SIDE_CURSORS"]


def test_nobody_listens_behind_a_transaction_pooler(monkeypatch):
    monkeypatch.setattr(session, "pooled_by_transaction", True)
    with closing(wake_up.listener("outbox")) as listener:
        wake_up.notify("outbox")
        readable, _, _ = select.select([listener], [], [], 0.1)
        listener.clear()

    assert readable == []


def test_sessions_of_a_server_are_not_taken_for_pooled():
    assert not session.is_pooled_by_transaction()


# a server that only reads


def test_a_connection_that_cannot_write_is_replaced_by_the_next_that_can(defaults, new_session):
    reader = new_session()
    defaults(default_transaction_read_only="on")
    with pytest.raises(DatabaseError, match="read-only"), reader.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_outbox")
    before = reader.connection
    defaults(default_transaction_read_only="off")
    reader.close_if_unusable_or_obsolete()

    with reader.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_outbox")
    assert reader.connection is not before


def test_a_read_only_database_is_noticed_and_so_is_its_end(defaults):
    assert outage.why_not_writable() == ""
    defaults(default_transaction_read_only="on")
    connection.close()

    assert outage.why_not_writable() == "the database is read-only"
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
    defaults(default_transaction_read_only="off")
    connection.close()
    assert outage.why_not_writable() == ""


# statements


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
            assert waited.wait(20)
            raise ZeroDivisionError
        Effect.objects.create(subscription_id=messages[0].data.subscription_id)

    handle(first_fails)

    def fail():
        with pytest.raises(ZeroDivisionError):
            deliver(request)

    def second():
        assert entered.wait(10)
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

    def somebody_waits():
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            return cursor.fetchone()[0]

    try:
        eventually(somebody_waits, within=10)
        tell.set()
    finally:
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
            assert done.wait(30)

    def want():
        assert held.wait(10)
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


def test_the_gauges_of_the_outbox_read_few_rows_however_many_wait(django_assert_max_num_queries):
    wait_since(5, number=30_000)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE messaging_outbox")
    with django_assert_max_num_queries(2) as seen:
        oldest_unsent_age()
    with connection.cursor() as cursor:
        plans = []
        for query in seen.captured_queries:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query['sql']}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    assert ["messaging_outbox_unsent" in plan for plan in plans] == [True, True]
    assert ["Seq Scan" in plan for plan in plans] == [False, False]


def test_a_deadlock_in_on_dead_is_retried(monkeypatch):
    """It is called for this message once; what it was to write would be missing forever."""
    message = Received.read(an_envelope(UserSubscribed).to_json(), queue="student_service.inbox")
    first, second = (Effect.objects.create(subscription_id=uuid4(), user_id=u) for u in "ab")
    ours, theirs = threading.Event(), threading.Event()
    calls = []

    def lock(effect):
        Effect.objects.select_for_update().get(pk=effect.pk)

    def deadlock_after(milliseconds):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL deadlock_timeout = {milliseconds}")

    def on_dead(envelope, reason):
        calls.append(envelope.id)
        deadlock_after(500)
        lock(first)
        ours.set()
        theirs.wait(10)
        lock(second)
        Effect.objects.create(subscription_id=uuid4(), user_id="dead")

    @transaction.atomic
    def another():
        deadlock_after(60_000)
        lock(second)
        theirs.set()
        ours.wait(10)
        lock(first)

    monkeypatch.setattr(handlers, "ON_DEAD", on_dead, raising=False)
    in_threads(another, lambda: keeping.keep(message, Malformed("no"), dead=True))

    assert len(calls) == 2
    assert SetAside.objects.get().state == SetAside.State.DEAD
    assert Effect.objects.filter(user_id="dead").count() == 1
