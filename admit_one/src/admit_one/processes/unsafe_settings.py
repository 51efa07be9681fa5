"""Settings that work and are unsafe in production: each process names them when it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from admit_one.environment import LISTEN, urls
from admit_one.environment.reading import development
from admit_one.logs import EventLogger

logger = EventLogger(__name__)

ENCRYPTED = {"require", "verify-ca", "verify-full"}
"""Values of PostgreSQL's `sslmode` with which nothing is sent in clear."""

IN_CLEAR = {"amqp": "amqps", "redis": "rediss"}


def warn_of_unsafe_settings() -> None:
    """Log a warning for each unsafe setting, except in development."""
    if development():
        return
    for setting, why in unsafe_settings():
        logger.warning("setting_unsafe", "{setting}: {why}", setting=setting, why=why)


def unsafe_settings() -> Iterator[tuple[str, str]]:
    """The name of each unsafe setting, and what is unsafe about it."""
    yield from _database()
    lists = {
        "BROKER_URL": settings.MESSAGING.get("BROKER_URL", ""),
        "TASKS_BROKER_URL": getattr(settings, "TASKS_BROKER_URL", ""),
        "LIMITS_URL": getattr(settings, "LIMITS_URL", None) or "",
    }
    for setting, listed in lists.items():
        nodes = list(map(urlsplit, urls.split(str(listed))))
        better = IN_CLEAR.get(nodes[0].scheme)
        if better and not all(_is_here(node.hostname or "") for node in nodes):
            yield setting, f"password and messages travel in clear; expected {better}://"
    if "*" in settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS", "any Host header is accepted; expected the names that are used"
    for setting, host, password, encrypted, better in _mail_servers():
        if password and not encrypted and not _is_here(host):
            yield setting, f"the password travels in clear; expected {better}"


def _mail_servers() -> Iterator[tuple[str, str, str, bool, str]]:
    """Setting, host, password, whether it is encrypted, and what to set so that it is.

    Django 6.1 has MAILERS, and refuses to read the older settings beside it.
    """
    mailers = getattr(settings, "MAILERS", None)
    if mailers is None:
        encrypted = settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL
        server = settings.EMAIL_HOST, settings.EMAIL_HOST_PASSWORD, encrypted
        yield "EMAIL_URL", *server, "smtp+tls:// or smtp+ssl://"
        return
    for name, mailer in mailers.items():
        options = mailer.get("OPTIONS", {})
        encrypted = bool(options.get("use_tls") or options.get("use_ssl"))
        server = options.get("host") or "", options.get("password") or "", encrypted
        yield f"MAILERS[{name!r}]", *server, "use_tls or use_ssl"


def _database() -> Iterator[tuple[str, str]]:
    for setting, alias in (("DATABASE_URL", "default"), ("LISTEN_DATABASE_URL", LISTEN)):
        if database := settings.DATABASES.get(alias):
            yield from ((setting, why) for why in _of_database(database))


def _of_database(database: Mapping[str, Any]) -> Iterator[str]:
    if database["ENGINE"].endswith("sqlite3"):
        yield "SQLite is for development; expected postgres://"
        return
    hosts = str(database.get("HOST") or "").split(",")
    in_clear = str(database.get("OPTIONS", {}).get("sslmode", "prefer")) not in ENCRYPTED
    if in_clear and not all(_is_here(host) for host in hosts):
        yield "rows may travel in clear; expected ?sslmode=verify-full"


def _is_here(host: str) -> bool:
    """Whether it names this machine: a socket, a loopback address, or localhost."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
