"""Searches every column of every table of both services, with every sealed value opened."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg
from admit_one.sealing.derived import derived
from cryptography.exceptions import InvalidTag
from psycopg.rows import dict_row

from tools.system.database_files import path_of
from tools.system.system import SERVICES

from .deployment import Deployment

PURPOSES = (
    "outbox", "set-aside", "set-aside-values",
    "subscription-code", "access-code", "mail-recipient", "corrected-address", "user-id",
)  # fmt: skip
"""What a value is sealed for. One that is missing here makes `opened` fail."""

NEVER_SEALED = ("hash", "fingerprint", "digest", "value", "signature", "delivery")
"""Columns of keyed hashes, which may look like something sealed."""

Row = Mapping[str, Any]


class CannotOpen(AssertionError):
    """A sealed value that the search does not see into."""


def found(deployment: Deployment, *texts: str) -> set[str]:
    """The columns in which one of these texts stands, in any case."""
    wanted = [text.lower() for text in texts]
    return {
        where
        for where, value in everything(deployment)
        if any(text in value.lower() for text in wanted)
    }


def everything(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Every value, and where it stands: `service.table.column`."""
    urls = (
        deployment.place.backends.payment_database_url,
        deployment.place.backends.student_database_url,
    )
    for service, url in zip(SERVICES, urls, strict=True):
        keys = _keys(deployment.system.environment(service)["SEALING_KEYS"])
        for table, row in rows(url):
            for column, value in row.items():
                yield f"{service}.{table}.{column}", _text(column, value, row, keys)


def rows(url: str) -> Iterator[tuple[str, Row]]:
    """Every row of every table of a database."""
    if file := path_of(url):
        with closing(sqlite3.connect(file)) as database:
            database.row_factory = sqlite3.Row
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in names.fetchall():
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    yield table, dict(row)
        return
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as server:
        tables = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in [each["tablename"] for each in tables.fetchall()]:
            for row in server.execute(f'SELECT * FROM "{table}"'.encode()):
                yield table, row


def _text(column: str, value: Any, row: Row, keys: Mapping[str, bytes]) -> str:
    if not isinstance(value, bytes | memoryview):
        return str(value)
    sealed = bytes(value)
    if any(name in column for name in NEVER_SEALED):
        return sealed.decode("latin-1")
    return _opened(sealed, row, keys).decode("utf-8", "replace")


def _opened(sealed: bytes, row: Row, keys: Mapping[str, bytes]) -> bytes:
    end = 1 + sealed[0] % 0x80
    key, rest = keys[sealed[1:end].decode()], sealed[end:]
    for purpose in PURPOSES:
        for name in map(_as_row_id, row.values()):
            try:
                bound = f"{purpose}\0{name}".encode()
                return derived(key).cipher.decrypt(rest[:12], rest[12:], bound)
            except InvalidTag:
                continue
    raise CannotOpen(f"expected a value sealed for one of {PURPOSES}, got another in {list(row)}")


def _as_row_id(value: Any) -> str:
    """As it is sealed with; SQLite keeps UUIDs without hyphens."""
    text = str(value)
    is_bare = len(text) == 32 and text.isalnum() and text == text.lower()
    try:
        return str(UUID(text)) if is_bare else text
    except ValueError:
        return text


def _keys(text: str) -> dict[str, bytes]:
    entries = (entry.partition(":") for entry in text.split(","))
    return {
        key_id: base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)) for key_id, _, key in entries
    }
