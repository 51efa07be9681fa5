"""A backup of one service's database, and its restore."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tools.servers.postgresql import of_database


def back_up(url: str) -> Callable[[], None]:
    """Copy the database at `url`, which nobody uses; returns what restores it."""
    if url.startswith("sqlite:"):
        file = Path(urlsplit(url).path.removeprefix("/"))
        kept = file.with_suffix(".backup")
        _copy_file(file, kept)
        return lambda: _copy_file(kept, file)
    name = urlsplit(url).path.removeprefix("/")
    kept_name = f"{name}_backup"
    _copy_database(url, name, kept_name)

    def restore() -> None:
        _copy_database(url, kept_name, name)
        with psycopg.connect(of_database(url, "postgres"), autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(kept_name)))

    return restore


def _copy_file(source: Path, target: Path) -> None:
    for leftover in target.parent.glob(f"{target.name}*"):
        leftover.unlink()
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def _copy_database(url: str, source: str, target: str) -> None:
    names = {"source": sql.Identifier(source), "target": sql.Identifier(target)}
    with psycopg.connect(of_database(url, "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {target} WITH (FORCE)").format(**names))
        server.execute(sql.SQL("CREATE DATABASE {target} TEMPLATE {source}").format(**names))
