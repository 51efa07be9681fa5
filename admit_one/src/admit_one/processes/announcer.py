"""Logs what a process is, and its troubles.

A trouble is logged when it begins, then once a minute, not at every attempt, and when it ends.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from django.db import connection

from admit_one.environment import Wrong, urls
from admit_one.logs import EventLogger

logger = EventLogger(__name__)

STARTED = "{process}: {does}; database {database}; broker {broker}"

REMINDER = 60.0
"""Seconds between two lines about one trouble."""


class Announcer:
    """Logs one kind of trouble, which several threads may meet at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._logged_at = 0.0

    def trouble(self, event: str, sentence: str, **fields: Any) -> None:
        now = time.monotonic()
        with self._lock:
            is_new = self._since is None
            if not is_new and now - self._logged_at < REMINDER:
                return
            self._since = now if is_new else self._since
            self._logged_at = now
        logger.warning(event, sentence, **fields)

    def over(self, event: str, sentence: str, **fields: Any) -> None:
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            seconds = time.monotonic() - since
            logger.warning(event, sentence + " after {seconds:.0f} s", seconds=seconds, **fields)


def description(process: str, does: str, broker_url: str) -> dict[str, str]:
    """The fields of STARTED: which process this is, what it does and what it is connected to."""
    return {
        "process": process,
        "does": does,
        "database": _database(),
        "broker": _without_password(broker_url),
    }


def describe(process: str, does: str, broker_url: str) -> str:
    """STARTED in one line, without a password."""
    return STARTED.format(**description(process, does, broker_url))


def _database() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite {settings['NAME']}"
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    # Without the user: user@host would be masked in the log, as if it were a mail address.
    return f"postgresql {settings['NAME']} on {settings['HOST'] or 'this machine'}{port}"


def _without_password(broker_url: str) -> str:
    try:
        nodes = urls.read_all(broker_url, "")
    except Wrong:
        return "at an address that cannot be read"
    return " or ".join(_node(node) for node in nodes)


def _node(node: urls.Url) -> str:
    if node.scheme == "sqlite":
        return f"embedded {node.path}"
    return urls.shown(replace(node, user=node.user or "guest"))
