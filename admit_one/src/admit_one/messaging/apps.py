"""The Django app that carries events from one service to another."""

from typing import Any

from django.apps import AppConfig
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_migrate, pre_migrate

from admit_one.database import session

_limits: dict[str, str] = {}
"""By database: the limit of a statement before it was migrated."""


class MessagingConfig(AppConfig):
    name = "admit_one.messaging"

    def ready(self) -> None:
        # Models can be imported only now.
        from admit_one.metrics import database_gauges  # noqa: PLC0415
        from admit_one.sealing import keyring  # noqa: PLC0415

        from . import checks, conf, metrics, models, retention  # noqa: F401, PLC0415  (checks registers itself)

        keyring.library_seals += models.SEALED
        keyring.library_needs.append(retention.inbox_needs)
        keyring.other_keys.append(
            keyring.OtherKeys("WIRE_KEYS", lambda: conf.current().WIRE_KEYS, models.set_aside_needs)
        )
        database_gauges.readings += [metrics.outbox, metrics.set_aside]
        pre_migrate.connect(_lift_statement_timeout, sender=self)
        post_migrate.connect(_restore_statement_timeout, sender=self)


def _lift_statement_timeout(*, using: str, **_: Any) -> None:
    """Let a migration take longer than a process may: indexing a large table does.

    `lock_timeout` stays: a migration that waits for a lock blocks all later users of its table.
    """
    if connections[using].vendor == "postgresql":
        _refuse_pooler(using)
        with connections[using].cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            _limits[using] = cursor.fetchone()[0]
            cursor.execute("SET statement_timeout = 0")


def _refuse_pooler(using: str) -> None:
    """What is set for a migration would hold for whoever gets the session next, not for it."""
    if using == DEFAULT_DB_ALIAS and session.is_pooled_by_transaction():
        raise CommandError(
            "migrate: expected DATABASE_URL to lead to the server itself, got a pooler that gives "
            "each transaction another session (PgBouncer: pool_mode = transaction)"
        )


def _restore_statement_timeout(*, using: str, **_: Any) -> None:
    # Not the server's default: the limit was set when the connection was made.
    if limit := _limits.pop(using, None):
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [limit])
