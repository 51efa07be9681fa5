"""System checks: settings, topology and the table of handlers must fit together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router

from admit_one.contract.topology import is_event
from admit_one.trust.keys import PUBLIC_BYTES, SECRET_BYTES, WireKey
from admit_one.wiring import misspelled

from . import conf, peers

DAY = 86_400
"""Seconds."""

WHOLE = {
    "RELAY_BATCH": (1, 65_535),
    # To the broker, 0 means no limit.
    "PREFETCH": (1, 65_535),
    "OUTBOX_DAYS": (1, 36_500),
    "INBOX_DAYS": (1, 36_500),
    "SET_ASIDE_DAYS": (1, 36_500),
    "SIGNED_DAYS": (1, 36_500),
    "HEALTH_PORT": (0, 65_535),
}
"""Settings that are whole numbers, with their least and greatest value. Beyond these, a process
would do nothing, and report that it works."""

LONGEST_CONFIRM = 25
"""Seconds: PostgreSQL ends a transaction that is idle for 30."""

LONGEST_PREFIX = 140
"""Bytes. A queue's name has 255 at most; a service's name may have 100, and a suffix follows."""


@register("messaging")
def settings_are_usable(**_: Any) -> list[CheckMessage]:
    try:
        current = conf.current()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="messaging.E001")]
    problems: list[CheckMessage] = [
        Error(f"MESSAGING {fault}", id="messaging.E004") for fault in _unusable(current)
    ]
    if problems:
        return problems
    # The inbox must remember an event for as long as it can be sent or retried.
    retry_seconds = sum(current.RETRY_DELAYS)
    longest = max(current.OUTBOX_DAYS, current.SET_ASIDE_DAYS)
    if longest * DAY + retry_seconds >= current.INBOX_DAYS * DAY:
        problems.append(
            Error(
                f"MESSAGING INBOX_DAYS: expected more than OUTBOX_DAYS ({current.OUTBOX_DAYS}) and "
                f"SET_ASIDE_DAYS ({current.SET_ASIDE_DAYS}), each plus the {retry_seconds:,} s of "
                f"RETRY_DELAYS, got {current.INBOX_DAYS}",
                hint="a replay of an event that the inbox has forgotten would be applied twice",
                id="messaging.E003",
            )
        )
    if 2 * current.SIGNED_DAYS >= current.INBOX_DAYS:
        problems.append(
            Error(
                f"MESSAGING SIGNED_DAYS: expected less than half of INBOX_DAYS "
                f"({current.INBOX_DAYS}), got {current.SIGNED_DAYS}",
                hint="a copy of a signed event that the inbox has forgotten would be applied again",
                id="messaging.E017",
            )
        )
    return problems


def _unusable(current: conf.Messaging) -> Iterator[str]:
    """Values that no process could work with, each with what is expected instead."""
    for name, (least, most) in WHOLE.items():
        if not _is_whole(value := getattr(current, name), least, most):
            yield f"{name}: expected a whole number from {least} to {most:,}, got {value!r}"
    delays, patience = current.RETRY_DELAYS, current.CONFIRM_TIMEOUT
    if not (isinstance(delays, (tuple, list)) and delays):
        yield f"RETRY_DELAYS: expected at least one number of seconds, got {delays!r}"
    elif wrong := [delay for delay in delays if not _is_whole(delay, 0, 365 * DAY)]:
        yield f"RETRY_DELAYS: expected whole seconds, at most a year, got {wrong[0]!r}"
    if not (isinstance(patience, (int, float)) and 0 < patience <= LONGEST_CONFIRM):
        yield f"CONFIRM_TIMEOUT: expected at most {LONGEST_CONFIRM} seconds, got {patience!r}"
    prefix = current.BROKER_PREFIX
    if not isinstance(prefix, str) or len(prefix.encode()) > LONGEST_PREFIX:
        yield f"BROKER_PREFIX: expected text of at most {LONGEST_PREFIX} bytes, got {prefix!r}"


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


@register("messaging")
def broker_is_named(**_: Any) -> list[CheckMessage]:
    named = "BROKER_URL" in getattr(settings, "MESSAGING", {}) or "BROKER_URL" in os.environ
    if named or settings.DEBUG:
        return []
    return [
        CheckMessage(
            WARNING,
            "BROKER_URL is set neither in MESSAGING nor in the environment: "
            "RabbitMQ on this machine is used, with its guest login",
            id="messaging.W001",
        )
    ]


@register("messaging")
def keys_are_listed(**_: Any) -> list[CheckMessage]:
    """Without them, publishing an event that must be signed or sealed would fail."""
    try:
        current = conf.current()
    except ImproperlyConfigured:
        return []  # E001 reports it
    if faults := list(_wrong_keys(current)):
        return [Error(f"MESSAGING {fault}", id="messaging.E016") for fault in faults]
    if current.WIRE_KEYS_OPTIONAL:
        return []
    return [
        Error(
            f"MESSAGING {setting}: expected a key, because {event.type} is signed or sealed",
            hint="manage.py wire_keys prints what the other services need of this one",
            id="messaging.E015",
        )
        for setting, event in peers.missing_keys().items()
    ]


def _wrong_keys(current: conf.Messaging) -> Iterator[str]:
    ours = set()
    for name, key in current.WIRE_KEYS.items():
        if isinstance(key, bytes) and len(key) == SECRET_BYTES:
            ours.add(WireKey(key).public)
        else:
            yield f"WIRE_KEYS {name}: expected {SECRET_BYTES} bytes, got something else"
    for service, keys in current.PEER_KEYS.items():
        for name, key in keys.items():
            if not (isinstance(key, bytes) and len(key) == PUBLIC_BYTES):
                yield f"PEER_KEYS {service} {name}: expected {PUBLIC_BYTES} bytes of a public key"
        if service == current.service.name:
            yield f"PEER_KEYS: expected other services, got {service}, which is this one"
        if ours & set(keys.values()):
            yield f"PEER_KEYS: expected {service}'s own keys, got one of this service"


@register("messaging")
def what_it_needs_is_installed(**_: Any) -> list[CheckMessage]:
    """Without these, some commands would work and others would end with a traceback."""
    return [
        Error(f"INSTALLED_APPS: expected also {app!r}", id="messaging.E005")
        for app in ("admit_one.acts", "admit_one.sealing")
        if not apps.is_installed(app)
    ]


@register("messaging")
def times_have_a_zone(**_: Any) -> list[CheckMessage]:
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ: expected True, got False",
            hint="SQLite's clock is in UTC; without a zone, Django takes its times for local ones",
            id="messaging.E007",
        )
    ]


@register("messaging")
def tables_are_in_the_default_database(**_: Any) -> list[CheckMessage]:
    """In another one, an event would not be written in the transaction of its change.

    A replica is another one: it may not have yet what the process has just written.
    """
    return [
        Error(
            f"DATABASE_ROUTERS: expected the tables of {app.name!r} in {DEFAULT_DB_ALIAS!r}, "
            f"got {', '.join(elsewhere)}",
            hint="an event is written in a transaction of the default database; in another one, "
            "it would be published although its change was rolled back",
            id="messaging.E006",
        )
        for app in apps.get_app_configs()
        if app.name in {"admit_one.acts", "admit_one.messaging", "admit_one.sealing"}
        and (elsewhere := _other_databases(app))
    ]


def _other_databases(app: AppConfig) -> list[str]:
    """The databases to which a router sends tables of `app`, except the default one."""
    used = {
        name
        for model in app.get_models()
        for name in (router.db_for_read(model), router.db_for_write(model))
    }
    return sorted(used - {DEFAULT_DB_ALIAS})


@register("messaging")
def bound_is_handled(**_: Any) -> list[CheckMessage]:
    try:
        service = conf.current().service
    except ImproperlyConfigured:
        return []  # E001 reports it
    try:
        handlers = conf.handlers()
    except (ImproperlyConfigured, ImportError) as error:
        return [Error(f"MESSAGING WIRING: {error}", id="messaging.E010")]
    table = f"{conf.current().WIRING}.HANDLERS"
    if wrong := _invalid_handlers(handlers):
        return [Error(f"{table}: {wrong}", id="messaging.E014")]
    bound, handled = set(service.handles), set(handlers)
    return [
        *(
            Error(
                f"{conf.current().WIRING} has {name}, which nothing uses",
                hint=f"did you mean {meant}?",
                id="messaging.E013",
            )
            for name, meant in misspelled()
        ),
        *(
            Error(
                f"{event.type} is bound to the inbox of {service.name}, but {table} has no handler",
                hint=f"add {event.__name__} to {table}, or take it out of topology.py",
                id="messaging.E011",
            )
            for event in sorted(bound - handled, key=lambda event: event.type)
        ),
        *(
            Error(
                f"{table} handles {event.type}, but it is not bound to the inbox of {service.name}",
                hint=f"add {event.__name__} to `handles` of {service.name} in topology.py",
                id="messaging.E012",
            )
            for event in sorted(handled - bound, key=lambda event: event.type)
        ),
    ]


def _invalid_handlers(table: Any) -> str:
    """What in `table` does not map an event class to a function; empty if all does."""
    if not isinstance(table, Mapping):
        return f"expected a table of event classes and functions, got {table!r}"
    for event, handler in table.items():
        if not (is_event(event) and callable(handler)):
            return f"expected an event class and a function, got {event!r}: {handler!r}"
    return ""
