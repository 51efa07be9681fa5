"""A backup of one service's database, and its restore."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tools.servers import postgresql
from tools.system.database_files import path_of


def back_up(url: str) -> Callable[[], None]:
    """Copy the database at `url`, which must not be in use; returns a function to restore it."""
    if file := path_of(url):
        kept = file.with_suffix(".backup")
        _copy_file(file, kept)
        return lambda: _copy_file(kept, file)
    server, name = postgresql.of_database(url, "postgres"), postgresql.name_in(url)
    kept_name = f"{name}_backup"
    _copy_database(server, name, kept_name)

    def restore() -> None:
        _copy_database(server, kept_name, name)
        postgresql.drop(server, kept_name)

    return restore


def _copy_file(source: Path, target: Path) -> None:
    for leftover in target.parent.glob(f"{target.name}*"):
        leftover.unlink()
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def _copy_database(server: str, source: str, target: str) -> None:
    postgresql.drop(server, target)
    postgresql.create(server, target, template=source)
