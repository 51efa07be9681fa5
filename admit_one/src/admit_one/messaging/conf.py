"""`settings.MESSAGING`, typed and checked: every setting, what it means, and its default."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from admit_one.contract import Event, Service, Topology
from admit_one.contract.errors import ContractError
from admit_one.contract.package import ContractPackage
from admit_one.environment.addresses import passwords
from admit_one.masking import learn
from admit_one.wiring import wired


def _broker_url() -> str:
    return os.environ.get("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//")


@dataclass(frozen=True, kw_only=True)
class Messaging:
    CONTRACT: str
    """The contract package that this service and the others share, by its Python name."""
    SERVICE: str
    """The name of this service in the topology of that contract."""
    BROKER_URL: str = field(repr=False, default_factory=_broker_url)
    """Where the broker is: amqp(s)://… or sqlite:////path for the embedded one.

    By default what the variable BROKER_URL says, else RabbitMQ on this machine.
    """
    WIRING: str
    """Dotted path of the service's wiring module (see `admit_one.wiring`)."""
    BROKER_PREFIX: str = ""
    """Put before every exchange and queue name, so that several systems can share one broker."""
    DECLARE_TOPOLOGY: bool = False
    """Whether relay and consumer declare the topology at start; else `declare_topology` does."""
    RELAY_BATCH: int = 500
    """Rows that the relay publishes before it waits for their confirms."""
    CONFIRM_TIMEOUT: float = 8.0
    """Seconds that the broker has to confirm a batch. Rows are locked as long on PostgreSQL.

    Less than the 10 s that a busy process may take to stop.
    """
    PREFETCH: int = 500
    """Messages that a consumer holds at most."""
    RETRY_DELAYS: tuple[int, ...] = (5, 30, 120, 600)
    """Seconds before each new try of a message that was set aside; after the last it is dead."""
    OUTBOX_DAYS: int = 45
    """Days that a published event is kept."""
    INBOX_DAYS: int = 90
    """Days that a handled event is remembered; longer than anything that could send it again."""
    SET_ASIDE_DAYS: int = 45
    """Days that a set-aside message is kept after it was replayed or discarded."""

    HEALTH_PORT: int = 0
    """Where relay, consumer and worker answer about their health; 0 for nowhere."""
    HEALTH_ADDRESS: str = "127.0.0.1"
    """On which of the machine's addresses."""

    CELERY_APP: str = ""
    """Dotted path of the Celery app whose tasks `wake.task` starts; without one, none is woken."""

    @cached_property
    def contract(self) -> ContractPackage:
        """The contract, its events imported. Raises `ContractError`."""
        return ContractPackage.load(self.CONTRACT)

    @cached_property
    def topology(self) -> Topology:
        """Every service of the contract. Raises `ContractError`."""
        return self.contract.topology

    @cached_property
    def service(self) -> Service:
        """What this service publishes and handles."""
        return self.topology[self.SERVICE]


Handler = Callable[[Any], Any]


@cache
def current() -> Messaging:
    """The settings in force. Raises `ImproperlyConfigured` naming what is wrong."""
    given: dict[str, Any] = dict(settings.MESSAGING)
    known = {setting.name for setting in fields(Messaging)}
    if unknown := sorted(given.keys() - known):
        raise ImproperlyConfigured(f"MESSAGING: expected {sorted(known)}, got also {unknown}")
    try:
        conf = Messaging(**given)
    except TypeError as error:
        raise ImproperlyConfigured(f"MESSAGING: {error}") from None
    learn(passwords(conf.BROKER_URL))  # whoever reads it without `Environment` is safe, too
    try:
        services = sorted(conf.topology)
    except ContractError as error:
        raise ImproperlyConfigured(f"MESSAGING CONTRACT: {error}") from None
    if conf.SERVICE not in services:
        raise ImproperlyConfigured(
            f"MESSAGING SERVICE: expected one of {services}, got {conf.SERVICE!r}"
        )
    return conf


@cache
def handlers() -> dict[type[Event], Handler]:
    """The service's own table of handlers."""
    table: dict[type[Event], Handler] | None = wired("HANDLERS")
    if table is None:
        raise ImproperlyConfigured(f"{current().WIRING}: expected a table HANDLERS")
    return table


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "MESSAGING":
        current.cache_clear()
        handlers.cache_clear()


setting_changed.connect(_forget)
