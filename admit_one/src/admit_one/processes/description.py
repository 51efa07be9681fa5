"""How a process describes itself at its start."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.db import connection

STARTED = "{process}: {does}; database {database}; broker {broker}"


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
    return f"postgresql {settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return f"embedded {parts.path[1:]}"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.username or 'guest'}@{parts.hostname}{port}{parts.path}"
