"""The URL of an SQLite file, whose path may contain any sign, and back."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

SCHEME = "sqlite:///"


def url_of(path: Path) -> str:
    return f"{SCHEME}{quote(str(path))}"


def path_of(url: str) -> Path | None:
    """None for a database on a server."""
    path = url.removeprefix(SCHEME)
    return None if path == url else Path(unquote(path))
