"""What the tests of the messaging app share. They run on the database that DATABASE_URL names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.db import connection

from tests import handlers, rabbit
from tests.processes import Process, Proxy

ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")

# What needs two transactions at once cannot be shown on SQLite, which has one at a time.
collect_ignore = [] if ON_POSTGRESQL else ["test_on_postgresql.py", "test_database_away.py"]


def pytest_report_header() -> str:
    if ON_POSTGRESQL:
        return "messaging on PostgreSQL"
    left_out = " and ".join(collect_ignore)
    return f"messaging on SQLite; {left_out} run with DATABASE_URL=postgres://… only"


def pytest_unconfigure() -> None:
    """Named pipe and lock files lie beside an SQLite database; Django removes only the database."""
    test_database = Path(django_settings.DATABASES["default"]["TEST"]["NAME"])
    for left in test_database.parent.glob(f"{test_database.name}*") if not ON_POSTGRESQL else ():
        left.unlink()


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch):
    """Put a handler for `user_subscribed` in; without one, messages are handled and recorded."""
    return lambda handler: monkeypatch.setattr(handlers, "record", handler)


@pytest.fixture
def messaging(settings):
    """Change settings.MESSAGING, and SEALING_KEYS beside it: `messaging(PREFETCH=1)`."""

    def change(**changes):
        settings.SEALING_KEYS = changes.pop("SEALING_KEYS", settings.SEALING_KEYS)
        settings.MESSAGING = {**settings.MESSAGING, **changes}

    return change


@pytest.fixture
def prefix(messaging) -> Iterator[str]:
    """Names of our own on the shared RabbitMQ, with this service's topology; deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}."
    messaging(BROKER_PREFIX=name)
    rabbit.declare(name)
    yield name
    rabbit.delete(name)


@pytest.fixture
def start(transactional_db, prefix):
    """Start real processes of the service: `start("consume_events", NAME="value")`."""
    started: list[Process] = []

    def run(command: str, **environment: str) -> Process:
        started.append(Process(command, **environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()


@pytest.fixture
def broker_proxy():
    """Between the processes and RabbitMQ: `start(…, TEST_BROKER_URL=broker_url(proxy.port))`."""
    parts = urlsplit(django_settings.BROKER_URL)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5672)
    yield proxy
    proxy.close()


@pytest.fixture
def database_proxy():
    """Between the processes and PostgreSQL: `start(…, DATABASE_URL=database_url(proxy.port))`."""
    given = connection.settings_dict
    proxy = Proxy(given["HOST"] or "127.0.0.1", int(given["PORT"] or 5432))
    yield proxy
    proxy.close()
