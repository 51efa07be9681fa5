"""The Django app that gets events out of a service and into another."""

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class MessagingConfig(AppConfig):
    name = "admit_one.messaging"
    label = "messaging"
    verbose_name = "Messaging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models can be imported only now.
        from admit_one.metrics import database_gauges  # noqa: PLC0415
        from admit_one.sealing import keyring  # noqa: PLC0415

        from . import checks, metrics, sealed  # noqa: F401, PLC0415  (checks registers itself)

        keyring.register(*sealed.SEALED, needed_until=sealed.inbox_needs)
        database_gauges.readings += [metrics.outbox, metrics.set_aside]
        pre_migrate.connect(_take_your_time, sender=self)
        post_migrate.connect(_no_longer, sender=self)


def _take_your_time(*, using: str, **_: Any) -> None:
    """The limit of a statement is meant for the processes; an index of a large table takes longer.

    `lock_timeout` stays: a migration that waits for a lock would hold up all that come after it.
    """
    _statement_timeout(using, "= 0")


def _no_longer(*, using: str, **_: Any) -> None:
    _statement_timeout(using, "TO DEFAULT")


def _statement_timeout(using: str, value: str) -> None:
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(f"SET statement_timeout {value}")
