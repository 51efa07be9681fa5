"""What the tests of the messaging app share. They run on the database that DATABASE_URL names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from tests import handlers, rabbit

ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")

# What needs two transactions at once cannot be shown on SQLite, which has one at a time.
collect_ignore = [] if ON_POSTGRESQL else ["test_on_postgresql.py"]


def pytest_report_header() -> str:
    if ON_POSTGRESQL:
        return "messaging on PostgreSQL, with test_on_postgresql.py"
    return "messaging on SQLite; test_on_postgresql.py runs with DATABASE_URL=postgres://… only"


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch):
    """Put a handler for `user_subscribed` in; without one, messages are handled and recorded."""
    return lambda handler: monkeypatch.setattr(handlers, "record", handler)


@pytest.fixture
def messaging(settings):
    """Change settings.MESSAGING: `messaging(PREFETCH=1)`."""

    def change(**changes):
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


@pytest.fixture(scope="session")
def broker_url() -> str:
    return str(django_settings.MESSAGING["BROKER_URL"])
