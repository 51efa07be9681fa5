"""`settings.MESSAGING`, typed and checked: every setting, what it means, and its default."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from admit_one.contract import Event, Service, Topology
from admit_one.contract.errors import ContractError
from admit_one.contract.package import ContractPackage
from admit_one.environment.addresses import brokers
from admit_one.environment.reading import Wrong
from admit_one.environment.urls import Url, passwords
from admit_one.masking import learn
from admit_one.wiring import wired


def _broker_url() -> str:
    return os.environ.get("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//")


REQUIRED = ("CONTRACT", "SERVICE", "WIRING")


@dataclass(frozen=True, kw_only=True)
class Messaging:
    CONTRACT: str
    """The contract package that this service and the others share, by its Python name."""
    SERVICE: str
    """The name of this service in the topology of that contract."""
    BROKER_URL: str = field(repr=False, default_factory=_broker_url)
    """Where the broker is: amqp(s)://…, a list url;url of its nodes, or sqlite:////path for the
    embedded one.

    Defaults to the environment's BROKER_URL, else to RabbitMQ on this machine.
    """
    WIRING: str
    """Dotted path of the service's wiring module (see `admit_one.wiring`)."""
    BROKER_PREFIX: str = ""
    """Put before every exchange and queue name, so that several systems can share one broker."""
    BROKER_MANAGEMENT_URL: str = field(repr=False, default="")
    """Where RabbitMQ's management plugin answers `broker_doctor`: https://user:password@host:port.

    The user needs the tag `monitoring`.
    """
    DECLARE_TOPOLOGY: bool = False
    """Whether relay and consumer declare the topology at start; else `declare_topology` does."""
    RELAY_BATCH: int = 500
    """Rows that the relay publishes before it waits for their confirms."""
    CONFIRM_TIMEOUT: float = 8.0
    """Seconds that the broker has to confirm a batch. On PostgreSQL, rows are locked as long.

    It should be less than the 10 s that a busy process may take to stop.
    """
    PREFETCH: int = 500
    """Unacknowledged messages that a consumer holds at most."""
    RETRY_DELAYS: tuple[int, ...] = (5, 30, 120, 600)
    """Seconds before each retry of a set-aside message; after the last it is dead."""
    OUTBOX_DAYS: int = 45
    """Days that a published event is kept."""
    INBOX_DAYS: int = 90
    """Days that a handled event is remembered: longer than it could be sent again."""
    SET_ASIDE_DAYS: int = 45
    """Days that a set-aside message is kept after it was replayed or discarded."""

    WIRE_KEYS: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    """This service's secret keys by id, 32 bytes each: the first signs and seals, all open."""
    PEER_KEYS: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """The other services' public keys, by service and id; it seals for the first of each."""
    WIRE_KEYS_OPTIONAL: bool = False
    """Whether, without keys, signed events go unsigned and sealed fields in clear: development."""
    SIGNED_DAYS: int = 7
    """Days by which the time of a signed event may differ from its arrival, or it is refused."""

    HEALTH_PORT: int = 0
    """The port on which relay, consumer and worker report their health; 0 for none."""
    HEALTH_ADDRESS: str = "127.0.0.1"
    """The address of that port."""

    CELERY_APP: str = ""
    """Dotted path of the Celery app whose tasks `wake.task` starts; without one, none is woken."""

    @cached_property
    def nodes(self) -> tuple[Url, ...]:
        """The nodes of the broker. Raises `Wrong`."""
        return brokers(self.BROKER_URL)

    @cached_property
    def contract(self) -> ContractPackage:
        """The contract, its events imported. Raises `ContractError`."""
        return ContractPackage(self.CONTRACT)

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
    given: dict[str, Any] = dict(getattr(settings, "MESSAGING", {}))
    known = {setting.name for setting in fields(Messaging)}
    if unknown := sorted(given.keys() - known):
        raise ImproperlyConfigured(f"MESSAGING: expected {sorted(known)}, got also {unknown}")
    if missing := [name for name in REQUIRED if name not in given]:
        raise ImproperlyConfigured(f"MESSAGING: expected also {', '.join(missing)}")
    conf = Messaging(**given)
    learn(
        [*passwords(conf.BROKER_URL), *passwords(conf.BROKER_MANAGEMENT_URL)]
    )  # for services that do not use `Environment`
    try:
        _ = conf.nodes
    except Wrong as error:
        raise ImproperlyConfigured(f"MESSAGING BROKER_URL: {error}") from None
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
