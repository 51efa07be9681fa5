"""Kinds of settings: where the database, the broker and the mail server are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import getaddresses
from importlib.util import find_spec
from typing import Annotated, Any

from admit_one.masking import SHORTEST_SECRET

from . import urls
from .database_urls import DATABASE, database
from .reading import Reads, Wrong, development
from .urls import Url

POSTGRESQL = "postgres://user:password@host/name"
REDIS = ("redis://", "rediss://")
LIMITS = "redis://user:password@host:port/number, or rediss://…"
TASKS_BROKER = "amqp://…, amqps://…, redis://…, rediss://… or sqlite:////absolute/path"
BROKER = "amqp://…, amqps://… or sqlite:////absolute/path"
MANAGEMENT = "https://user:password@host:port, or http://…"
MAIL = "smtp://[user:password@]host:port, smtp+tls:// or smtp+ssl://"


@dataclass(frozen=True)
class MailServer:
    """The SMTP server: `tls` means STARTTLS, `ssl` means TLS from the first byte."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool
    ssl: bool


def brokers(listed: str) -> tuple[Url, ...]:
    """The nodes of one broker: `url`, or a list `url;url`. Raises `Wrong` if one is invalid."""
    nodes = urls.read_all(listed, BROKER)
    for node, written in zip(nodes, urls.split(listed), strict=True):
        if ";" in written.rpartition("@")[2] and node.scheme != "sqlite":
            # More likely a list with one too many than a part of a virtual host's name.
            raise Wrong(
                "a ; behind a URL", "url;url, nothing else between or behind (%3B in a name)"
            )
        if node.query:
            raise Wrong(f"the parameter {next(iter(node.query))}", f"{BROKER} without parameters")
        if node.scheme == "sqlite":
            urls.absolute_path(node, BROKER)
        elif node.scheme not in {"amqp", "amqps"}:
            raise Wrong(node.scheme, BROKER)
        elif not _is_one_machine(node):
            raise Wrong("another number of hosts", "one host in each URL (amqp://a//;amqp://b//)")
    if len(nodes) > 1 and nodes[0].scheme == "sqlite":
        raise Wrong("a list", "one sqlite:////absolute/path")
    if len({(node.scheme, node.path or "/") for node in nodes}) > 1:
        raise Wrong("several", "one scheme and one virtual host for all nodes of a broker")
    return nodes


def _database(url: str) -> dict[str, Any]:
    entry = database(url)
    _refuse_short_password(urls.read(url, DATABASE))
    return entry


def _listening(url: str) -> dict[str, Any]:
    entry = _database(url)
    if urls.read(url, POSTGRESQL).scheme == "sqlite":
        raise Wrong("sqlite", POSTGRESQL)
    return {**entry, "TEST": {"MIRROR": "default"}}


def _broker(url: str) -> str:
    nodes = brokers(url)
    for node in nodes:
        if development():
            break
        if node.scheme == "sqlite":
            raise Wrong("sqlite", "amqps://… or amqp://… (or ENVIRONMENT=development)")
        if node.user in {None, "", "guest"}:
            raise Wrong("guest", "a user of its own (or ENVIRONMENT=development)")
        _refuse_short_password(node)
    return ";".join(map(urls.write, nodes))


def _tasks_broker(url: str) -> str:
    """Also Redis, where losing a message does no harm. Its library is not one of ours."""
    if not url.startswith(REDIS):
        return _broker(url)
    parts = urls.read(url, TASKS_BROKER)
    if not parts.hosts:
        raise Wrong("no host", TASKS_BROKER)
    _needs_redis()
    _refuse_short_password(parts)
    return url


def _limits(url: str) -> str:
    """A Redis of one machine: its keys are counts, which may be lost without harm."""
    parts = urls.read(url, LIMITS)
    if not url.lower().startswith(REDIS):
        raise Wrong(parts.scheme)
    if parts.query:
        raise Wrong(f"the parameter {next(iter(parts.query))}", f"{LIMITS} without parameters")
    if not _is_one_machine(parts):
        raise Wrong("another number of hosts", LIMITS)
    if not re.fullmatch("[0-9]{0,4}", parts.path):
        raise Wrong("another path", f"{LIMITS}, where the number is that of a database")
    if not parts.password and not development():
        raise Wrong("no password", f"{LIMITS} (or ENVIRONMENT=development)")
    _needs_redis()
    _refuse_short_password(parts)
    return urls.write(parts)


def _needs_redis() -> None:
    if find_spec("redis") is None:
        raise Wrong("none", "the Python package redis to be installed for such a URL")


def _management(url: str) -> str:
    parts = urls.read(url, MANAGEMENT)
    if parts.scheme not in {"http", "https"}:
        raise Wrong(parts.scheme)
    if parts.query:
        raise Wrong(f"the parameter {next(iter(parts.query))}")
    if not _is_one_machine(parts) or not parts.user or not parts.password:
        raise Wrong("something else")
    _refuse_short_password(parts)
    return urls.write(parts)


def _mail_server(url: str) -> MailServer:
    parts = urls.read(url, MAIL)
    if parts.scheme not in {"smtp", "smtp+tls", "smtp+ssl"}:
        raise Wrong(parts.scheme)
    if parts.query:
        raise Wrong(f"the parameter {next(iter(parts.query))}")
    if not _is_one_machine(parts) or parts.path:
        raise Wrong("something else")
    _refuse_short_password(parts)
    [host] = parts.hosts
    return MailServer(
        host=host.name,
        port=host.port or 25,
        user=parts.user or "",
        password=parts.password or "",
        tls=parts.scheme == "smtp+tls",
        ssl=parts.scheme == "smtp+ssl",
    )


def _refuse_short_password(url: Url) -> None:
    """A password that is an ordinary word cannot be masked in logs, and can be guessed."""
    given = [value for name, value in url.query.items() if "password" in name]
    for password in (url.password or "", *given):
        if 0 < len(password) < SHORTEST_SECRET and not development():
            raise Wrong(
                "a shorter one",
                f"a password of at least {SHORTEST_SECRET} characters (or ENVIRONMENT=development)",
            )


def _sender(text: str) -> str:
    addresses = [address for _, address in getaddresses([text])]
    if not (text.isascii() and text.isprintable() and len(addresses) == 1 and "@" in addresses[0]):
        raise Wrong("something else")
    return text


def _listed_addresses(text: str) -> frozenset[str]:
    entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
    for entry in entries:
        if not re.fullmatch(r"[!-?A-~]*@[a-z0-9-]+(\.[a-z0-9-]+)*", entry):
            raise Wrong("something else")
    return frozenset(entries)


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[A-Za-z0-9.:]+\]", text):
        raise Wrong("something else")
    return text


def _is_one_machine(url: Url) -> bool:
    return len(url.hosts) == 1 and not url.hosts[0].name.startswith(("/", "@"))


DatabaseUrl = Annotated[dict[str, Any], Reads(DATABASE, _database, secrets=urls.passwords)]
"""An entry of Django's DATABASES."""
ListenDatabaseUrl = Annotated[
    dict[str, Any] | None, Reads(POSTGRESQL, _listening, secrets=urls.passwords)
]
"""The same for a PostgreSQL that is only listened to, or None."""
BrokerUrl = Annotated[str, Reads(BROKER, _broker, secrets=urls.passwords)]
"""A URL, or a list `url;url` of a broker's nodes.

Outside development, the embedded broker and RabbitMQ's public guest login are refused."""
TasksBrokerUrl = Annotated[str, Reads(TASKS_BROKER, _tasks_broker, secrets=urls.passwords)]
"""The same for Celery's wake-ups, and Redis."""
LimitsUrl = Annotated[str | None, Reads(LIMITS, _limits, secrets=urls.passwords)]
"""A Redis that adds up counts of requests, or None. Outside development, with a password."""
ManagementUrl = Annotated[str, Reads(MANAGEMENT, _management, secrets=urls.passwords)]
"""Where RabbitMQ's management plugin answers."""
MailUrl = Annotated[MailServer | None, Reads(MAIL, _mail_server, secrets=urls.passwords)]
HostName = Annotated[str, Reads("a host name, or an address in brackets", _host_name)]
MailAddresses = Annotated[
    frozenset[str],
    Reads(
        "addresses a@b.example and domains @b.example in ASCII, separated by commas",
        _listed_addresses,
    ),
]
"""In lower case; a domain with the `@` before it."""
Sender = Annotated[str, Reads("an address in ASCII, like Name <a@b.example>", _sender)]
