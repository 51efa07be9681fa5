"""Real processes of the service under test, and the ways to what they are connected to."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from tools.system.gate import through
from tools.system.process import Process, says

ROOT = Path(__file__).parent.parent


def database_url(port: int | None = None) -> str:
    """The test database as an address; through `port` of this machine if given (PostgreSQL)."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    parts = urlsplit(os.environ["DATABASE_URL"])
    login = parts.netloc.rpartition("@")[0]
    netloc = f"{login}@{given['HOST']}:{given['PORT'] or 5432}"
    url = parts._replace(netloc=netloc, path=f"/{given['NAME']}").geturl()
    return through(port, url) if port else url


def broker_url(port: int) -> str:
    """The broker through `port` of this machine."""
    return through(port, str(settings.BROKER_URL))


def process(command: str, folder: Path, **environment: str) -> Process:
    """`python -m django <command>`, with its log in `folder`."""
    return Process(
        command,
        [sys.executable, "-m", "django", command],
        log=folder / f"{command}-{len(list(folder.iterdir()))}.log",
        is_ready=says(" ready"),
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_url(),
            "BROKER_PREFIX": str(settings.MESSAGING["BROKER_PREFIX"]),
            "TEST_WIRING": "tests.process_handlers",
            **environment,
        },
    )
