"""What our guarantees need of a PostgreSQL session, whatever the defaults of server or role are.

`configure` sets it once a connection is made: poolers refuse or ignore the start-up parameter
`options`. `check` reads it back when a process starts.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

from admit_one.logs import EventLogger

logger = EventLogger(__name__)

OUR_BACKEND = "admit_one.database.postgresql"

GUARANTEES = {
    # Batches, locks and unique constraints are written for it; a stricter one fails at commits.
    "default_transaction_isolation": "read committed",
    # With less, a crash of the server takes back what was answered, acknowledged or mailed.
    "synchronous_commit": "on",
    # What the driver can read.
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}

LIMITS = {
    # A statement that takes longer than a heartbeat would cost the broker connection.
    "statement_timeout": "8000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "30000",
}
"""Milliseconds, so that every wait ends."""

NO_LIMITS = {
    # A listener is idle until it is woken.
    "idle_session_timeout": "0",
    # A relay's transaction lasts until the broker has confirmed; cut short, it publishes again.
    "transaction_timeout": "0",
}
"""Set where the server knows them (14 and 17); nothing breaks for good without them."""

ENOUGH = {"synchronous_commit": {"on", "remote_apply"}}
"""Where another value is more than we need, it is left as it is."""

NOT_OURS_TO_SET = {
    "session_replication_role": ({"origin", "local"}, "foreign keys are not checked"),
    "fsync": ({"on"}, "a crash of the server takes back what was acknowledged"),
    "full_page_writes": ({"on"}, "a crash of the server can destroy pages"),
}
"""What only an administrator may set: the values that we need, and what happens with others."""

CONFIGURE = """
    SELECT set_config(name, value, false)
    FROM unnest(%s::text[], %s::text[]) AS ours (name, value)
    WHERE current_setting(name, true) IS NOT NULL
    AND (name, current_setting(name, true)) <> ('synchronous_commit', 'remote_apply')
"""
"""It leaves out what the server does not know."""

READ_BACK = "SELECT name, setting, reset_val FROM pg_settings WHERE name = ANY(%s)"

HIDDEN = "SELECT name FROM unnest(%s::text[]) AS name WHERE row_security_active(to_regclass(name))"
"""The names of tables of which this role does not see every row."""

PER_CLIENT = ("TimeZone", "client_encoding", "DateStyle", "standard_conforming_strings")
"""What PgBouncer sets for each client, whatever its mode."""

LOOKS = 10
"""A pooler may give a connection the same session by chance, but hardly every time."""

PROTOCOL_VIOLATION = "08P01"
"""SQLSTATE of PgBouncer's refusal of a transaction, in its mode `statement`."""

pooled_by_transaction: bool | None = None
"""Whether `check` found that a pooler gives each transaction another session: nothing that is set
or prepared outlives a transaction, LISTEN hears nothing, and a cursor ends with its transaction.
None until it has looked."""


class UnfitSession(CommandError):
    """A session lacks what our guarantees need. It ends a command with exit code 1."""


def configure(session: Any) -> None:
    """Set up a new session (psycopg's connection), in one round trip."""
    ours = GUARANTEES | LIMITS | NO_LIMITS
    with session.cursor() as cursor:
        cursor.execute(CONFIGURE, [list(ours), list(ours.values())])
    session.commit()


def check() -> None:
    """Read back how this thread's session is set up.

    Raises `UnfitSession` if our guarantees would not hold, and a database error if there is no
    answer. For another backend than ours, missing limits are only logged.
    """
    global pooled_by_transaction  # noqa: PLW0603 (one fact for the process)
    if connection.vendor != "postgresql":
        return
    _check_server()
    _check_rows()
    wanted = {**GUARANTEES, **LIMITS, "TimeZone": connection.timezone_name}
    if is_pooled_by_transaction():
        _check_defaults(wanted)
        return
    differing = _differing(wanted, defaults=False)
    ours = connection.settings_dict["ENGINE"] == OUR_BACKEND
    if ours or differing.keys() & GUARANTEES.keys():
        _refuse(
            differing,
            "Set DATABASES by admit_one.environment.database; a pooler must keep what is set in a "
            "session (PgBouncer: pool_mode = session)",
        )
    elif differing:
        logger.warning(
            "database_session_differs",
            "the database's sessions: better {wanted}",
            wanted="; ".join(differing.values()),
        )
    pooled_by_transaction = False


def is_pooled_by_transaction() -> bool:
    """Whether statements of one connection reach several sessions of the server.

    Or those of two connections, open at once, one session. Raises a database error.
    """
    if connection.vendor != "postgresql":
        return False
    other = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        pairs = {(_backend(connection), _backend(other)) for _ in range(LOOKS)}
    finally:
        other.close()
    [(one, another), *more] = pairs
    return bool(more) or one == another


def _backend(database: Any) -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _check_server() -> None:
    """Warn about what only an administrator of the server may set."""
    with connection.cursor() as cursor:
        cursor.execute(READ_BACK, [list(NOT_OURS_TO_SET)])
        for name, value, _ in cursor.fetchall():
            allowed, otherwise = NOT_OURS_TO_SET[name]
            if value not in allowed:
                logger.warning(
                    "database_unsafe",
                    "the database: {name} is {value}: {otherwise}",
                    name=name,
                    value=value,
                    otherwise=otherwise,
                )


def _check_rows() -> None:
    """Refuse a role from which policies hide rows: what it does not see, it does not do."""
    models = (model for model in apps.get_models() if model.__module__.startswith("admit_one."))
    with connection.cursor() as cursor:
        cursor.execute(HIDDEN, [[model._meta.db_table for model in models]])  # noqa: SLF001
        hidden = [name for (name,) in cursor.fetchall()]
    if hidden:
        raise UnfitSession(
            f"row-level security hides rows from this role in {', '.join(sorted(hidden))}: "
            "let it own them, or ALTER TABLE … DISABLE ROW LEVEL SECURITY"
        )


def _check_defaults(wanted: dict[str, str]) -> None:
    """Behind a pooler that forgets what we set, the role's defaults must do."""
    global pooled_by_transaction  # noqa: PLW0603 (one fact for the process)
    try:
        with transaction.atomic():
            differing = _differing(wanted, defaults=True)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != PROTOCOL_VIOLATION:
            raise
        raise UnfitSession(
            "the pooler refuses transactions: expected another mode "
            "(PgBouncer: pool_mode = session, or transaction), got statement"
        ) from None
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_user), quote_ident(current_database())")
        role, database = cursor.fetchone()
    commands = (
        f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{wanted[name]}'"
        for name in differing
    )
    _refuse(
        differing,
        "The pooler gives each transaction another session (PgBouncer: pool_mode = transaction), "
        f"so run on the server: {'; '.join(commands)}; and then RECONNECT in the pooler",
    )
    if not pooled_by_transaction:
        logger.warning(
            "database_pooled_by_transaction",
            "a pooler gives each transaction another session: without LISTEN_DATABASE_URL, the "
            "relay looks for events by its clock, so each takes up to a second longer",
        )
    pooled_by_transaction = True
    connections.settings[DEFAULT_DB_ALIAS]["DISABLE_SERVER_SIDE_CURSORS"] = True


def _differing(wanted: dict[str, str], *, defaults: bool) -> dict[str, str]:
    """By name: `name = value, got …` for each setting, or default of the session, that differs."""
    with connection.cursor() as cursor:
        cursor.execute(READ_BACK, [list(wanted)])
        values = {
            name: default if defaults and name not in PER_CLIENT else value
            for name, value, default in cursor.fetchall()
        }
    return {
        name: f"{name} = {value}, got {values.get(name)}"
        for name, value in wanted.items()
        if values.get(name) not in ENOUGH.get(name, {value})
    }


def _refuse(differing: dict[str, str], remedy: str) -> None:
    if differing:
        expected = "; ".join(differing.values())
        raise UnfitSession(f"the database's sessions: expected {expected}. {remedy}")
