"""What a service hands to the machinery: the names in its wiring module, which one setting names.

`MESSAGING = {"WIRING": "subscriptions.wiring", …}`. The module holds plain data, on one screen:

    HANDLERS  which use case handles which event; the only name that is required
    KEYRING   the service's own sealed columns, for `manage.py rotate_keys`
    TIMELINE  the service's part of what `manage.py why` reports
    METRICS   what Prometheus reads of the service's rows
    ON_DEAD   what is called, with envelope and reason, when a readable message becomes dead
    SCHEDULE  the service's tasks, and the seconds between two runs of each

Nothing is registered by an import: whoever needs a name reads it here, when it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings


def wired(name: str, default: Any = None) -> Any:
    """What the service's wiring holds by this name. Raises `ImportError` if there is no wiring."""
    return getattr(import_module(str(settings.MESSAGING["WIRING"])), name, default)
