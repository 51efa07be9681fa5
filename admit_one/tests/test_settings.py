"""What every service's settings have in common, for services of any name."""

from __future__ import annotations

import base64

import pytest
from admit_one.environment import addresses
from admit_one.settings import ServiceEnvironment

from admit_one import masking

REQUIRED = {
    "SECRET_KEY": "only-for-tests-" * 3,
    "DATABASE_URL": "postgres://billing@host/billing",
    "BROKER_URL": "amqp://billing:hunter2-hunter2@host//",
    "SEALING_KEYS": f"k1:{base64.urlsafe_b64encode(bytes(range(32))).decode()}",
}


@pytest.fixture
def settings(monkeypatch):
    """Reads the settings from REQUIRED and what else is given."""
    monkeypatch.setattr(masking, "_secrets", set())
    monkeypatch.setattr(masking, "_any_secret", None)

    def read(**variables):
        for name in ServiceEnvironment.model_fields:
            monkeypatch.delenv(name, raising=False)
        for name, text in {**REQUIRED, **variables}.items():
            monkeypatch.setenv(name, text)
        return ServiceEnvironment.read()

    return read


def test_celery_uses_the_same_broker_by_default(settings):
    assert REQUIRED["BROKER_URL"] == settings().TASKS_BROKER_URL

    other = settings(TASKS_BROKER_URL="amqp://billing:hunter2-hunter2@host/tasks")

    assert other.TASKS_BROKER_URL == "amqp://billing:hunter2-hunter2@host/tasks"


def test_the_embedded_broker_needs_a_second_file_for_celery(settings):
    with pytest.raises(SystemExit, match=r"TASKS_BROKER_URL: expected sqlite:.*, got nothing"):
        settings(ENVIRONMENT="development", BROKER_URL="sqlite:////tmp/events.sqlite3")


@pytest.mark.parametrize("url", ["redis://host", "rediss://user:hunter2-hunter2@host/1"])
def test_wake_ups_may_travel_by_redis_if_its_library_is_installed(settings, monkeypatch, url):
    monkeypatch.setattr(addresses, "find_spec", lambda name: name)
    assert url == settings(TASKS_BROKER_URL=url).TASKS_BROKER_URL

    monkeypatch.setattr(addresses, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        settings(TASKS_BROKER_URL=url)
    assert str(ended.value) == (
        "TASKS_BROKER_URL: expected the Python package redis to be installed for such a URL, "
        "got none"
    )


def test_a_wrong_broker_is_named_once(settings):
    with pytest.raises(SystemExit) as ended:
        settings(BROKER_URL="redis://host")

    assert str(ended.value).count("expected") == 1


def test_an_unknown_log_level_or_format_is_refused(settings):
    with pytest.raises(SystemExit) as ended:
        settings(LOG_FORMAT="xml", LOG_LEVEL="LOUD")

    assert str(ended.value).splitlines() == [
        "LOG_LEVEL: expected one of DEBUG, INFO, WARNING, ERROR, got 'LOUD'",
        "LOG_FORMAT: expected one of line, json, got 'xml'",
    ]


def test_processes_declare_the_topology_in_development_only(settings):
    assert settings().messaging["DECLARE_TOPOLOGY"] is False

    assert settings(ENVIRONMENT="development").messaging["DECLARE_TOPOLOGY"] is True


def test_its_representation_shows_no_secret(settings):
    shown = repr(settings())

    for secret in ("only-for-tests-", "hunter2", REQUIRED["SEALING_KEYS"][3:]):
        assert secret not in shown
    assert "LOG_LEVEL='INFO'" in shown
