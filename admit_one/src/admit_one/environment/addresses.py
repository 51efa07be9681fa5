"""Kinds of settings: where the database, the broker and the mail server are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from admit_one.masking import learn

from .reading import Reads, Wrong, development

POSTGRES_SESSION = (
    # A statement that takes longer than a heartbeat would cost the broker connection.
    "-c statement_timeout=8000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
)

DATABASE = "postgres://user:password@host/name or sqlite:////absolute/path"
BROKER = "amqp://…, amqps://… or sqlite:////absolute/path"
MAIL = "smtp://[user:password@]host:port, smtp+tls:// or smtp+ssl://"


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed over: `tls` begins in clear (STARTTLS), `ssl` does not."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool
    ssl: bool


def database(url: str) -> dict[str, Any]:
    """An entry of Django's DATABASES for `url`, with the options that several processes need.

    SQLite takes its write lock when a transaction begins; PostgreSQL ends a statement after 8 s.
    The password is masked in every log from then on. Raises `Wrong` if the URL is none.
    """
    learn(passwords(url))
    parts = _split(url, DATABASE)
    if parts.scheme == "sqlite":
        return _sqlite(_absolute_path(parts))
    if parts.scheme in {"postgres", "postgresql"} and parts.path.strip("/"):
        return _postgresql(parts)
    raise Wrong(parts.scheme or "something else")


def _postgresql(parts: SplitResult) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": 15000,
            "options": POSTGRES_SESSION,
            **dict(parse_qsl(parts.query)),
        },
    }


def _sqlite(path: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # Deferred transactions fail at once when two of them want to write.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }


def _broker(url: str) -> str:
    parts = _split(url, BROKER)
    if parts.scheme == "sqlite":
        _absolute_path(parts)
        if not development():
            raise Wrong("sqlite", "amqps://… or amqp://… (or ENVIRONMENT=development)")
    elif parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise Wrong(parts.scheme or "something else")
    elif parts.username in {None, "guest"} and not development():
        raise Wrong("guest", "a user of its own (or ENVIRONMENT=development)")
    return url


def _mail_server(url: str) -> MailServer:
    parts = _split(url, MAIL)
    if parts.scheme not in {"smtp", "smtp+tls", "smtp+ssl"} or not parts.hostname:
        raise Wrong(parts.scheme or "something else")
    return MailServer(
        host=parts.hostname,
        port=parts.port or 25,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "smtp+tls",
        ssl=parts.scheme == "smtp+ssl",
    )


def _sender(text: str) -> str:
    if "@" not in parseaddr(text)[1] or not text.isascii():
        raise Wrong("something else")
    return text


def _split(url: str, expected: str) -> SplitResult:
    """The parts of `url`. A port that is none may be half of a password with a raw slash in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise Wrong(
            "something that is no such address", f"{expected} (%-encode the password)"
        ) from None
    if "://" not in url:  # what then stands before a colon may be secret
        raise Wrong("something else")
    return parts


def _absolute_path(parts: SplitResult) -> str:
    path = parts.path.removeprefix("/")
    if parts.netloc or not Path(path).is_absolute():
        raise Wrong("another form", "sqlite:////absolute/path (four slashes)")
    return path


def passwords(url: str) -> Iterator[str]:
    """The password as it stands in `url`, and as it is; also one among the parameters."""
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest)[0]
    logins = {text.rpartition("@")[0] for text in (authority, rest)}  # a slash may stand in it
    written = {login.partition(":")[2] for login in logins}
    parameters = parse_qsl(url.partition("?")[2])
    for password in written | {value for name, value in parameters if "password" in name}:
        yield from (password, unquote(password))


DatabaseUrl = Annotated[dict[str, Any], Reads(DATABASE, database, secrets=passwords)]
"""An entry of Django's DATABASES."""
BrokerUrl = Annotated[str, Reads(BROKER, _broker, secrets=passwords)]
"""Outside development, the embedded broker and RabbitMQ's public guest login are refused."""
MailUrl = Annotated[MailServer, Reads(MAIL, _mail_server, secrets=passwords)]
Sender = Annotated[str, Reads("an address in ASCII, like Name <a@b.example>", _sender)]
