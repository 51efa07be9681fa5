"""System checks: what the topology promises, the table of handlers keeps, and conversely."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from admit_one.wiring import misspelled

from . import conf

DAY = 86_400
"""Seconds."""


@register("messaging")
def settings_are_usable(**_: Any) -> list[CheckMessage]:
    try:
        current = conf.current()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="messaging.E001")]
    problems: list[CheckMessage] = []
    if not current.RETRY_DELAYS:
        text = "MESSAGING RETRY_DELAYS: expected at least one number of seconds, got none"
        problems.append(Error(text, id="messaging.E004"))
    # An event remembered shorter than it can be sent again, or tried again, would be applied twice.
    horizon = sum(current.RETRY_DELAYS)
    longest = max(current.OUTBOX_DAYS, current.SET_ASIDE_DAYS)
    if longest * DAY + horizon >= current.INBOX_DAYS * DAY:
        problems.append(
            Error(
                f"MESSAGING INBOX_DAYS: expected more than OUTBOX_DAYS ({current.OUTBOX_DAYS}) and "
                f"SET_ASIDE_DAYS ({current.SET_ASIDE_DAYS}), each with the {horizon:,} s of "
                f"RETRY_DELAYS, got {current.INBOX_DAYS}",
                hint="a replay of an event that the inbox has forgotten would be applied twice",
                id="messaging.E003",
            )
        )
    return problems


@register("messaging")
def bound_is_handled(**_: Any) -> list[CheckMessage]:
    try:
        service, handled = conf.current().service, set(conf.handlers())
    except (ImproperlyConfigured, ImportError) as error:
        return [Error(f"MESSAGING WIRING: {error}", id="messaging.E010")]
    bound = set(service.handles)
    table = f"{conf.current().WIRING}.HANDLERS"
    return [
        *(
            Error(
                f"{conf.current().WIRING} has {name}, which nothing reads",
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
