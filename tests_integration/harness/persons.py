"""Searches every column of every table of both services, with every sealed value opened."""

from __future__ import annotations

import base64
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain, islice, product
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
    "provider-event", "provider-person", "webhook-secret", "webhook-previous-secret",
)  # fmt: skip
"""What a value is sealed for. One that is missing here makes `opened` fail."""

NEVER_SEALED = ("hash", "fingerprint", "digest", "signature", "delivery")
"""Parts of the names of columns with keyed hashes, which may look like something sealed."""

CANARY = "value"
"""The column of one more."""

TOGETHER = 10_000
"""Values that are searched at once: of many, each text is looked for in one long one."""

Row = Mapping[str, Any]


Binding = tuple[str, str]
"""For what a value is sealed, and the column that names its row."""

Bindings = dict[str, list[Binding]]


class CannotOpen(AssertionError):
    """A sealed value that the search does not see into."""


def found(deployment: Deployment, *texts: str) -> set[str]:
    """The columns in which one of these texts stands, in any case."""
    wanted, values, columns = [text.lower() for text in texts], everything(deployment), set[str]()
    while some := list(islice(values, TOGETHER)):
        columns |= set(_found(wanted, some))
    return columns


def _found(wanted: Iterable[str], values: Iterable[tuple[str, str]]) -> Iterator[str]:
    by_column = defaultdict(list)
    for where, value in values:
        by_column[where].append(value)
    for where, texts in by_column.items():
        together = "\n".join(texts).lower()
        if any(text in together for text in wanted):
            yield where


def everything(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Every value, and where it stands: `service.table.column`."""
    urls = (
        deployment.place.backends.payment_database_url,
        deployment.place.backends.student_database_url,
    )
    for service, url in zip(SERVICES, urls, strict=True):
        keys = _keys(deployment.system.environment(service)["SEALING_KEYS"])
        bindings: Bindings = {}
        for table, row in rows(url):
            for column, value in row.items():
                where = f"{service}.{table}.{column}"
                if isinstance(value, bytes | memoryview) and not _is_hash(column):
                    yield where, _opened(bytes(value), row, keys, bindings.setdefault(where, []))
                else:
                    yield where, _text(value)


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


def _is_hash(column: str) -> bool:
    return column == CANARY or any(name in column for name in NEVER_SEALED)


def _text(value: Any) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)


def _opened(sealed: bytes, row: Row, keys: Mapping[str, bytes], known: list[Binding]) -> str:
    """The value in clear. `known` gets the binding; the next one in its column has the same."""
    end = 1 + sealed[0] % 0x80
    key, rest = keys[sealed[1:end].decode()], sealed[end:]
    for purpose, column in chain(known, product(PURPOSES, row)):
        bound = f"{purpose}\0{_as_row_id(row[column])}".encode()
        try:
            value = derived(key).cipher.decrypt(rest[:12], rest[12:], bound)
        except InvalidTag:
            continue
        if (purpose, column) not in known:
            known.append((purpose, column))
        return value.decode("utf-8", "replace")
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
