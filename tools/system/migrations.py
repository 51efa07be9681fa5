"""Whether an embedded database is up to date, known without importing Django.

`manage.py migrate` with nothing to do takes seconds; comparing the migrations' files takes none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def are_applied(folder: Path, service: str, settings: str, database_url: str) -> bool:
    """Whether this database file had these very migrations. For a server: False."""
    path = database_url.removeprefix("sqlite:///")
    note = _note(folder, service, settings)
    return (
        path != database_url
        and Path(path).exists()
        and note.exists()
        and note.read_text() == _digest(service)
    )


def note_applied(folder: Path, service: str, settings: str) -> None:
    """Remember that the embedded database of `service` has all tables of these settings."""
    _note(folder, service, settings).write_text(_digest(service))


def _note(folder: Path, service: str, settings: str) -> Path:
    return folder / f"{service}.{settings}.migrations"


def _digest(service: str) -> str:
    """One value for all migrations of a service, those of its libraries by the lock file."""
    files = [ROOT / "uv.lock"]
    for part in (service, "admit_one"):
        files += sorted((ROOT / part).rglob("migrations/*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
