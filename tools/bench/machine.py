"""Facts about the machine on which the figures were measured."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import psycopg

PACKAGES = (
    "django", "djangorestframework", "waitress", "uvicorn", "celery", "kombu", "amqp", "psycopg",
    "pydantic", "cryptography",
)  # fmt: skip

DURABILITY = ("fsync", "synchronous_commit", "shared_buffers")


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def hardware() -> dict[str, object]:
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "cores": os.cpu_count() or 0,
        "processor": model[1] if model else platform.processor(),
        "system": platform.platform(terse=True),
    }


def busy() -> float:
    """The load average of the last minute, per core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def database_settings(url: str) -> dict[str, str]:
    """The PostgreSQL settings that determine the cost of a commit."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
            [list(DURABILITY)],
        ).fetchall()
    return dict(rows)
