"""Reads the wiring module of a service, which `MESSAGING["WIRING"]` names.

`MESSAGING = {"WIRING": "subscriptions.wiring", …}`. The module holds plain data:

    HANDLERS  which use case handles which event; the only name that is required
    KEYRING   the service's own sealed columns, for `manage.py rotate_keys`
    TIMELINE  the service's part of what `manage.py why` reports
    METRICS   what Prometheus reads of the service's rows
    ON_DEAD   what is called, with envelope and reason, when a readable message becomes dead
    SCHEDULE  the service's tasks, and the seconds between two runs of each
    ERASURE   how persons are found, and how erasures are reported
    ERASERS   what the service keeps about subjects, and how each part is erased
    ON_ERASED what is called, with envelopes, when messages about erased subjects are passed by

Importing it registers nothing: each name is read when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from django.conf import settings

NAMES = (
    *("HANDLERS", "KEYRING", "TIMELINE", "METRICS", "ON_DEAD", "SCHEDULE"),
    *("ERASURE", "ERASERS", "ON_ERASED"),
)


def misspelled() -> Iterator[tuple[str, str]]:
    """Names in the wiring that are nearly one of `NAMES`, each with that one.

    With a misspelled KEYRING, `rotate_keys` would report keys as removable that rows still need.
    Raises `ImportError` if there is no wiring.
    """
    module = import_module(str(settings.MESSAGING["WIRING"]))
    for name in vars(module):
        if name.isupper() and name not in NAMES:
            yield from ((name, meant) for meant in get_close_matches(name, NAMES, 1, cutoff=0.8))


def wired(name: str, default: Any = None) -> Any:
    """The wiring's value for `name`, or `default`. Raises `ImportError` if there is no wiring."""
    return getattr(import_module(str(settings.MESSAGING["WIRING"])), name, default)
