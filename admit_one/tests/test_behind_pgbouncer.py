"""Behind a real PgBouncer, with its defaults: what we rest on holds, or the start is refused."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

import pytest
from admit_one.database import prepared, session, wake_up
from admit_one.environment import database
from admit_one.messaging.testing import an_envelope
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.base.base import NO_DB_ALIAS

from tests import rabbit
from tests.contract.events import UserSubscribed
from tests.models import Effect
from tests.processes import database_url
from tests.relay.steps import KEY, publish, unsent
from tools.servers.found import NotHere
from tools.servers.pgbouncer import Pooler
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Pool = Callable[..., Pooler]


@pytest.fixture
def pool():
    """Start a PgBouncer in front of the test's server: `pool("transaction")`."""
    with ExitStack() as stack:

        def start(mode: str, settings: str = "") -> Pooler:
            try:
                return Pooler(stack, database_url(), mode, settings=settings)
            except NotHere as reason:
                if os.environ.get("CI"):
                    raise
                pytest.skip(str(reason))

        yield start


@pytest.fixture
def role():
    """Run statements about this role's settings in this database; all undone at the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_user), quote_ident(current_database())")
        name, here = cursor.fetchone()

    def alter(*statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    yield alter
    alter(f"ALTER ROLE {name} IN DATABASE {here} RESET ALL")


@pytest.fixture
def queue(prefix):
    return rabbit.bind(prefix, "student_service.events", KEY)


@pytest.fixture(autouse=True)
def listens_by_an_alias_that_tests_may_use(monkeypatch):
    monkeypatch.setattr(wake_up, "LISTEN", NO_DB_ALIAS)


@contextmanager
def default_database(url: str, listen: str = ""):
    """This process's connections lead to `url`, and those for listening to `listen`."""
    before = dict(connections.settings["default"])
    pooled = session.pooled_by_transaction
    connections.close_all()
    through = database(url)
    connections.settings["default"].update({name: through[name] for name in ("HOST", "PORT")})
    if listen:
        given = connections.configure_settings({"default": database(listen)})
        connections.settings[NO_DB_ALIAS] = given["default"]
    try:
        yield
    finally:
        connections.close_all()
        connections.settings["default"].update(before)
        connections.settings.pop(NO_DB_ALIAS, None)
        session.pooled_by_transaction = pooled


def commands(text: str) -> list[str]:
    return re.findall(r"ALTER ROLE .+? = '.+?'", text)


def printed_commands() -> list[str]:
    with pytest.raises(session.UnfitSession) as unfit:
        session.check()
    return commands(str(unfit.value))


def woken(listener: wake_up.Listener, seconds: float = 5.0) -> bool:
    readable, _, _ = select.select([listener], [], [], seconds)
    return bool(readable)


# sessions

OTHERS = {
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "1min",
    "timezone": "Asia/Tokyo",
    "client_encoding": "LATIN1",
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
}


def test_in_session_mode_what_we_set_holds(pool: Pool, role):
    here = connection.ops.quote_name(connection.settings_dict["NAME"])
    role(
        *(f"ALTER ROLE CURRENT_USER IN DATABASE {here} SET {n} = '{v}'" for n, v in OTHERS.items())
    )
    pooler = pool("session")

    for _ in range(2):  # the second gets a session that the first has left
        with default_database(pooler.way_to(database_url())):
            session.check()
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SHOW transaction_isolation")
                assert cursor.fetchone() == ("read committed",)
            assert not session.pooled_by_transaction


@pytest.mark.parametrize("pooling", ["", "server_round_robin = 1\nmin_pool_size = 5\n"])
def test_in_transaction_mode_the_printed_commands_let_a_process_start(
    pool: Pool, role, start, queue, pooling
):
    pooler = pool("transaction", pooling)
    url = pooler.way_to(database_url())
    refused = start("relay_outbox", DATABASE_URL=url)
    code = refused.wait()
    role(*commands(refused.output()))
    pooler.reconnect()
    relay = start("relay_outbox", DATABASE_URL=url).until_ready()
    publish()
    eventually(lambda: unsent().count() == 0)

    assert (code, refused.said("pool_mode = transaction")) == (1, 1)
    assert relay.said("database_pooled_by_transaction") == 1


def test_in_transaction_mode_every_new_session_has_what_we_need(pool: Pool, role):
    pooler = pool("transaction")
    with default_database(pooler.way_to(database_url())):
        printed = printed_commands()
    role(*printed)
    pooler.reconnect()

    with default_database(pooler.way_to(database_url())):
        session.check()
        assert connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]
        connection.ensure_connection()
        assert connection.connection.prepare_threshold is None
    assert {"statement_timeout", "lock_timeout"} <= {
        c.split(" SET ")[1].split()[0] for c in printed
    }


def ask() -> int | str:
    """A statement that is prepared where sessions are kept, in a unit of work of its own."""
    connection.close_if_unusable_or_obsolete()
    try:
        with transaction.atomic(), prepared.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tests_effect WHERE user_id = %s", ["x"])
            return int(cursor.fetchone()[0])
    except DatabaseError:
        return "refused"


def test_a_pooler_that_begins_to_mix_sessions_costs_one_statement(pool: Pool, role):
    pooler = pool("transaction")
    with default_database(pooler.way_to(database_url())):
        role(*printed_commands())
        pooler.reconnect()
    with default_database(pooler.way_to(database_url())):
        session.pooled_by_transaction = False  # as it was when the process started
        other = connections.create_connection("default")
        with closing(other):
            answers = [ask()]
            other.set_autocommit(False)
            with other.cursor() as elsewhere:  # takes the session that prepared it, and keeps it
                elsewhere.execute("SELECT 1")
            answers += [ask(), ask()]

        # Since 1.21, PgBouncer can prepare it again itself.
        assert answers in ([0, "refused", 0], [0, 0, 0])
        assert session.pooled_by_transaction is (None if "refused" in answers else False)


def test_statement_mode_is_refused_by_name(pool: Pool):
    with (
        default_database(pool("statement").way_to(database_url())),
        pytest.raises(session.UnfitSession, match="pool_mode = session, or transaction"),
    ):
        session.check()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_only_a_pooler_that_keeps_sessions_is_migrated_through(pool: Pool, mode):
    with default_database(pool(mode).way_to(database_url())):
        if mode == "session":
            call_command("migrate", verbosity=0)
        else:
            with pytest.raises(CommandError, match="the server itself"):
                call_command("migrate", verbosity=0)


# wake-ups


def test_a_listener_past_the_pooler_is_woken_through_it(pool: Pool, caplog):
    pooled = pool("transaction").way_to(database_url())
    with (
        default_database(pooled, listen=database_url()),
        closing(wake_up.listener("outbox")) as ear,
    ):
        ear.clear()
        wake_up.notify("outbox")

        assert woken(ear)
    assert "nothing_heard" not in caplog.text


@pytest.mark.parametrize("where", ["through the pooler", "another database", "nobody there"])
def test_a_listener_that_would_hear_nothing_is_named(pool: Pool, caplog, monkeypatch, where):
    monkeypatch.setattr(wake_up, "PROOF", 0.5)
    pooled = pool("transaction").way_to(database_url())
    listen = {
        "through the pooler": pooled,
        "another database": urlsplit(database_url())._replace(path="/postgres").geturl(),
        "nobody there": urlsplit(database_url())._replace(netloc="127.0.0.1:1").geturl(),
    }[where]
    with default_database(pooled, listen=listen), closing(wake_up.listener("outbox")) as ear:
        wake_up.notify("outbox")

        assert not woken(ear, 0.1)
    assert caplog.text.count("LISTEN_DATABASE_URL: ") == 1


# outages


def test_a_relay_outlives_its_pooler_and_says_it_once(pool: Pool, start, queue):
    pooler = pool("session")
    relay = start("relay_outbox", DATABASE_URL=pooler.way_to(database_url())).until_ready()
    pooler.kill()
    relay.until("process_waits")
    publish()
    pooler.start()
    eventually(lambda: unsent().count() == 0)

    assert (relay.said("process_waits"), relay.said("process_works_again")) == (1, 1)


def test_a_consumer_outlives_its_pooler_and_says_it_once(pool: Pool, start, prefix):
    pooler = pool("session")
    consumer = start("consume_events", DATABASE_URL=pooler.way_to(database_url())).until_ready()
    pooler.kill()
    rabbit.send(prefix, an_envelope(UserSubscribed).to_json())
    consumer.until("database_unavailable")
    pooler.start()
    eventually(lambda: Effect.objects.count() == 1)

    consumer.until("database_back")
    assert consumer.said("database_unavailable") == 1
