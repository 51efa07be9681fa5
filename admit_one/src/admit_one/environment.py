"""Settings from the environment: read once at start, checked, and named when they are wrong.

Every reader raises `ImproperlyConfigured` with "NAME: expected …, got …".
Values that may be secret are never printed.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environ import Env

from .logs import FORMATS

POSTGRES_SESSION = (
    # A statement that takes longer than a heartbeat would cost the broker connection.
    "-c statement_timeout=8000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
)


def text(name: str, default: str | None = None) -> str:
    """The value of `name`, or `default`; required if there is no default."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise _wrong(name, "a value (see .env.example)", "nothing")
    return default


def whole(name: str, default: int, minimum: int, maximum: int) -> int:
    """A whole number between `minimum` and `maximum`."""
    value = text(name, str(default))
    if not value.isdecimal() or not minimum <= int(value) <= maximum:
        raise _wrong(name, f"a whole number from {minimum} to {maximum}", repr(value))
    return int(value)


def one_of(name: str, choices: Sequence[str], default: str) -> str:
    """One of the words in `choices`."""
    value = text(name, default)
    if value not in choices:
        raise _wrong(name, f"one of {', '.join(choices)}", repr(value))
    return value


def names(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def development() -> bool:
    """Whether this is a developer's machine, where guest logins and embedded parts are fine."""
    return one_of("ENVIRONMENT", ("production", "development"), "production") == "development"


def secret(name: str, min_length: int = 32) -> str:
    """A secret text of at least `min_length` characters."""
    value = text(name)
    if len(value) < min_length:
        raise _wrong(name, f"at least {min_length} characters", f"{len(value)}")
    return value


def key(name: str) -> bytes:
    """32 secret bytes, as URL-safe base64."""
    return _key(name, text(name))


def optional_key(name: str) -> bytes | None:
    """32 secret bytes, as URL-safe base64, or nothing."""
    encoded = text(name, "")
    return _key(name, encoded) if encoded else None


def sealing_keys(name: str) -> dict[str, bytes]:
    """Keys by key id, from `kid:base64,kid:base64`; the first one seals, all unseal."""
    keys: dict[str, bytes] = {}
    for part in names(name, text(name)):
        kid, colon, encoded = part.partition(":")
        if not colon or not kid.isalnum() or len(kid) > 16 or kid in keys:
            expected = "kid:base64[,kid:base64], each kid once, 1-16 letters or digits"
            raise _wrong(name, expected, "something else")
        keys[kid] = _key(name, encoded)
    return keys


def database(name: str) -> dict[str, Any]:
    """A Django DATABASES entry from `postgres://…` or `sqlite:////absolute/path`."""
    url = text(name)
    expected = "postgres://user:password@host/name or sqlite:////absolute/path"
    parts = _address(name, url, expected)
    if parts.scheme in {"postgres", "postgresql"} and parts.path.strip("/"):
        entry: dict[str, Any] = Env.db_url_config(url)
        entry["CONN_MAX_AGE"] = 60
        entry["CONN_HEALTH_CHECKS"] = True
        entry["OPTIONS"] = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": 15000,
            "options": POSTGRES_SESSION,
            **entry.get("OPTIONS", {}),
        }
        return entry
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _absolute_path(name, url),
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                # Deferred transactions fail at once when two of them want to write.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    raise _wrong(name, expected, parts.scheme or "something else")


def broker(name: str, default: str | None = None) -> str:
    """A broker address: `amqps://…`, `amqp://…`, or the embedded `sqlite:////absolute/path`.

    Outside development, the embedded broker and RabbitMQ's public guest login are refused.
    """
    url = text(name, default)
    expected = "amqp://…, amqps://… or sqlite:////absolute/path"
    parts = _address(name, url, expected)
    if parts.scheme == "sqlite":
        _absolute_path(name, url)
        if not development():
            raise _wrong(name, "amqps://… or amqp://… (or ENVIRONMENT=development)", "sqlite")
    elif parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise _wrong(name, expected, parts.scheme or "something else")
    elif parts.username in {None, "guest"} and not development():
        raise _wrong(name, "a user of its own (or ENVIRONMENT=development)", "guest")
    return url


def email(name: str) -> dict[str, Any]:
    """Django's EMAIL_* settings from `smtp://…`, `smtp+tls://…` or `smtp+ssl://…`."""
    url = text(name)
    expected = "smtp://[user:password@]host:port, smtp+tls:// or smtp+ssl://"
    parts = _address(name, url, expected)
    if parts.scheme not in {"smtp", "smtp+tls", "smtp+ssl"} or not parts.hostname:
        raise _wrong(name, expected, parts.scheme or "something else")
    config: dict[str, Any] = Env.email_url_config(url)
    return {setting: value for setting, value in config.items() if setting.startswith("EMAIL_")}


def logging_config(level: str) -> dict[str, Any]:
    """Django's LOGGING: one record a line on standard error, masked, as LOG_FORMAT says."""
    written = one_of("LOG_FORMAT", ("line", "json"), "line")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": FORMATS[written]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "admit_one": {"level": level},
            "access_codes": {"level": level},
            "subscriptions": {"level": level},
            # The web server's own handler masks nothing.
            "uvicorn.error": {"handlers": ["stderr"], "propagate": False},
        },
    }


def _key(name: str, encoded: str) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != 32:
        raise _wrong(name, "32 bytes as URL-safe base64", "something else")
    return decoded


def _address(name: str, url: str, expected: str) -> SplitResult:
    """The parts of `url`. A port that is none may be half of a password with a raw slash in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        expected += " (%-encode the password)"
        raise _wrong(name, expected, "something that is no such address") from None
    return parts


def _absolute_path(name: str, url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.removeprefix("/")
    if parts.netloc or not Path(path).is_absolute():
        raise _wrong(name, "sqlite:////absolute/path (four slashes)", "another form")
    return path


def _wrong(name: str, expected: str, got: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}: expected {expected}, got {got}")
