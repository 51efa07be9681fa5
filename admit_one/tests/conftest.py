"""What the tests of the messaging app share. They run on the database that DATABASE_URL names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.db import connection

from tests import handlers, rabbit
from tests.processes import process
from tools.system.gate import Gate
from tools.system.left_out import skip_without_rabbitmq
from tools.system.process import Process

ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith("postgres")

# What needs two transactions at once cannot be shown on SQLite, which has one at a time.
# Nor does SQLite have plans that say how many rows were read.
NEEDS_POSTGRESQL = [
    "test_on_postgresql.py", "test_database_outage.py", "test_behind_pgbouncer.py",
    "test_prepared.py", "test_connection_checks.py", "test_beginning_later.py",
    "operators/test_many_rows.py",
]  # fmt: skip
collect_ignore = [] if ON_POSTGRESQL else NEEDS_POSTGRESQL


def pytest_report_header() -> str:
    if ON_POSTGRESQL:
        return "messaging on PostgreSQL"
    left_out = ", ".join(collect_ignore)
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
def log_in(client):
    """Log somebody in to the pages for operators who has these permissions."""

    def run(*permissions: str):
        user = User.objects.create_user("ada", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")

    return run


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
    skip_without_rabbitmq()
    name = f"test-{uuid.uuid4().hex[:8]}."
    messaging(BROKER_PREFIX=name)
    rabbit.declare(name)
    yield name
    rabbit.delete(name)


@pytest.fixture
def run(transactional_db, tmp_path):
    """Start real processes of the service: `run("consume_events", NAME="value")`."""
    started: list[Process] = []

    def start(command: str, **environment: str) -> Process:
        started.append(process(command, tmp_path, **environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def start(prefix, run):
    """The same on the shared RabbitMQ, where the service's topology is declared."""
    return run


@pytest.fixture
def broker_gate():
    """Between the processes and RabbitMQ: `start(…, TEST_BROKER_URL=broker_url(gate.port))`."""
    skip_without_rabbitmq()
    with Gate(django_settings.BROKER_URL) as gate:
        yield gate


@pytest.fixture
def database_gate():
    """Between the processes and PostgreSQL: `start(…, DATABASE_URL=database_url(gate.port))`."""
    given = connection.settings_dict
    with Gate(f"tcp://{given['HOST'] or '127.0.0.1'}:{given['PORT'] or 5432}") as gate:
        yield gate
