"""Each process names what is unsafe about its settings, except in development."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from admit_one.processes import unsafe_settings as module
from admit_one.processes.unsafe_settings import unsafe_settings, warn_of_unsafe_settings

SAFE = {
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "db.example",
            "OPTIONS": {"sslmode": "verify-full"},
        }
    },
    "MESSAGING": {"BROKER_URL": "amqps://user:secret@broker.example//"},
    "TASKS_BROKER_URL": "amqp://user:secret@127.0.0.1//",
    "ALLOWED_HOSTS": ["shop.example"],
    "EMAIL_HOST": "mail.example",
    "EMAIL_HOST_PASSWORD": "secret",
    "EMAIL_USE_TLS": True,
    "EMAIL_USE_SSL": False,
}
MAILER = {"host": "mail.example", "password": "secret"}
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql"}
HERE = POSTGRESQL | {"HOST": "127.0.0.1"}


@pytest.fixture
def given(monkeypatch):
    def give(**changes):
        monkeypatch.setattr(module, "settings", SimpleNamespace(**SAFE | changes))

    return give


def test_safe_settings_are_not_mentioned(given):
    given()

    assert list(unsafe_settings()) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("DATABASE_URL", {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3"}}}),
        ("DATABASE_URL", {"DATABASES": {"default": POSTGRESQL | {"HOST": "db.example"}}}),
        ("DATABASE_URL", {"DATABASES": {"default": POSTGRESQL | {"HOST": "127.0.0.1,10.0.0.2"}}}),
        (
            "LISTEN_DATABASE_URL",
            {"DATABASES": {"default": HERE, "listen": POSTGRESQL | {"HOST": "db.example"}}},
        ),
        ("BROKER_URL", {"MESSAGING": {"BROKER_URL": "amqp://user:secret@broker.example//"}}),
        ("TASKS_BROKER_URL", {"TASKS_BROKER_URL": "amqp://user:secret@10.0.0.2//"}),
        ("TASKS_BROKER_URL", {"TASKS_BROKER_URL": "redis://10.0.0.2"}),
        ("LIMITS_URL", {"LIMITS_URL": "redis://:hunter2-hunter2@10.0.0.2/0"}),
        ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": ["shop.example", "*"]}),
        ("EMAIL_URL", {"EMAIL_USE_TLS": False}),
        ("MAILERS['default']", {"MAILERS": {"default": {"OPTIONS": MAILER}}}),
    ],
)
def test_an_unsafe_setting_is_named_without_its_value(given, caplog, monkeypatch, name, changes):
    given(**changes)

    monkeypatch.setenv("ENVIRONMENT", "production")
    warn_of_unsafe_settings()
    [record] = caplog.records
    assert (record.levelname, record.event, record.fields["setting"]) == (
        "WARNING",
        "setting_unsafe",
        name,
    )
    assert "secret" not in record.getMessage()

    caplog.clear()
    monkeypatch.setenv("ENVIRONMENT", "development")
    warn_of_unsafe_settings()
    assert caplog.records == []


@pytest.mark.parametrize(
    "mailer", [{}, {"OPTIONS": {"host": "mail.example"}}, {"OPTIONS": MAILER | {"use_ssl": True}}]
)
def test_mailers_of_django_6_are_read_instead_of_the_older_settings(given, mailer):
    given(EMAIL_USE_TLS=False, MAILERS={"default": mailer})

    assert list(unsafe_settings()) == []


@pytest.mark.parametrize("host", ["", "/run/postgresql", "localhost", "127.0.0.2", "::1"])
def test_what_stays_on_this_machine_needs_no_encryption(given, host):
    given(
        DATABASES={"default": POSTGRESQL | {"HOST": host}},
        EMAIL_HOST="localhost",
        EMAIL_USE_TLS=False,
    )

    assert list(unsafe_settings()) == []
