"""Checks whether a SQLite database is up to date, without Django.

`manage.py migrate` takes seconds even if there is nothing to do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from .database_files import path_of

ROOT = Path(__file__).resolve().parents[2]


def are_applied(folder: Path, service: str, settings: str, database_url: str) -> bool:
    """Whether this database file has exactly these migrations; false for a server."""
    path = path_of(database_url)
    note = _note(folder, service, settings)
    return (
        path is not None
        and path.exists()
        and note.exists()
        and note.read_text() == _digest(service)
    )


def note_applied(folder: Path, service: str, settings: str) -> None:
    """Record that the SQLite database of `service` is migrated with these settings."""
    _note(folder, service, settings).write_text(_digest(service))


def _note(folder: Path, service: str, settings: str) -> Path:
    return folder / f"{service}.{settings}.migrations"


def _digest(service: str) -> str:
    """A hash of all migrations of a service; uv.lock stands for those of its libraries."""
    files = [ROOT / "uv.lock"]
    for part in (service, "admit_one"):
        files += sorted((ROOT / part).rglob("migrations/*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
