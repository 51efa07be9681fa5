"""Settings that cannot be right stop the process, and say what was expected without secrets."""

from __future__ import annotations

import base64

import pytest
from django.core.exceptions import ImproperlyConfigured

from admit_one import environment

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
NAME = "A_SETTING"


@pytest.fixture
def given(monkeypatch):
    def give(value, **others):
        monkeypatch.setenv("ENVIRONMENT", "production")
        for name, text in {NAME: value, **others}.items():
            if text is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, text)

    return give


def refusal(read) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(NAME)
    return str(caught.value)


def test_a_missing_required_setting_is_named(given):
    given(None)

    assert (
        refusal(environment.text) == "A_SETTING: expected a value (see .env.example), got nothing"
    )


def test_a_blank_setting_counts_as_missing_and_takes_the_default(given):
    given("   ")

    assert environment.text(NAME, "default") == "default"


@pytest.mark.parametrize("value", ["0", "11", "-5", "five", "5.0", "1e1", "٥x", "²"])
def test_a_number_outside_its_bounds_is_refused(given, value):
    given(value)

    message = refusal(lambda name: environment.whole(name, 3, 1, 10))

    assert message == f"A_SETTING: expected a whole number from 1 to 10, got {value!r}"


def test_a_number_within_its_bounds_is_taken(given):
    given("10")

    assert environment.whole(NAME, 3, 1, 10) == 10


def test_a_word_that_is_not_a_choice_is_refused(given):
    given("red")

    message = refusal(lambda name: environment.one_of(name, ("a", "b"), "a"))

    assert message == "A_SETTING: expected one of a, b, got 'red'"


def test_a_list_is_split_at_commas_and_trimmed(given):
    given(" a, b,,c ")

    assert environment.names(NAME) == ["a", "b", "c"]


def test_an_environment_nobody_knows_is_refused_and_production_is_the_default(given):
    given(None, ENVIRONMENT="staging")
    with pytest.raises(ImproperlyConfigured, match="ENVIRONMENT: expected one of production"):
        environment.development()

    given(None, ENVIRONMENT=None)

    assert environment.development() is False


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (environment.secret, "hunter2"),
        (environment.key, "hunter2"),
        (environment.key, base64.urlsafe_b64encode(b"hunter2").decode()),
        (environment.key, "hunter2" * 10 + "é"),
        (environment.sealing_keys, "hunter2"),
        (environment.sealing_keys, f"hunter2:{KEY[:-4]}"),
        (environment.sealing_keys, f"hunter2!:{KEY}"),
        (environment.sealing_keys, f":{KEY}"),
        (environment.sealing_keys, f"hunter2:{KEY},hunter2:{KEY}"),
        (environment.sealing_keys, f"hunter2hunter2hunter2:{KEY}"),
        (environment.database, "hunter2"),
        (environment.database, "mysql://user:hunter2@host/name"),
        (environment.database, "postgres://user:hunter2@host:port/name"),
        (environment.database, "postgres://user:hunter2@host"),
        (environment.database, "postgres://user:hunter2@[host/name"),
        (environment.database, "postgres://user:hun/ter2@host/name"),
        (environment.database, "sqlite://user:hunter2@host/name"),
        (environment.database, "sqlite:///hunter2.sqlite3"),
        (environment.broker, "hunter2"),
        (environment.broker, "redis://:hunter2@host"),
        (environment.broker, "amqp://"),
        (environment.broker, "amqp://guest:hunter2@host"),
        (environment.broker, "amqp://host:5672//"),
        (environment.broker, "amqp://user:hunter2@host:port//"),
        (environment.broker, "amqp://user:hunter2@[host//"),
        (environment.broker, "amqp://user:hun/ter2@host//"),
        (environment.broker, "sqlite:////absolute/path"),
        (environment.broker, "sqlite:///relative"),
        (environment.email, "hunter2"),
        (environment.email, "smtp://"),
        (environment.email, "http://user:hunter2@host"),
        (environment.email, "smtp://user:hunter2@host:port"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_impossible_value_is_refused_and_never_shown(given, read, value):
    given(value)

    message = refusal(read)

    assert message.startswith("A_SETTING: expected ")
    assert "ter2" not in message


def test_the_first_sealing_key_stands_first_and_padding_may_be_missing(given):
    given(f"new:{KEY},old:{KEY.rstrip('=')}")

    assert environment.sealing_keys(NAME) == {"new": b"k" * 32, "old": b"k" * 32}
    assert next(iter(environment.sealing_keys(NAME))) == "new"


def test_postgresql_gets_timeouts_so_that_no_wait_is_without_end(given):
    given("postgres://user:p%40ss@host:5433/name")

    entry = environment.database(NAME)

    assert (entry["USER"], entry["PASSWORD"], entry["HOST"]) == ("user", "p@ss", "host")
    assert (entry["PORT"], entry["NAME"]) == (5433, "name")
    assert "statement_timeout=8000" in entry["OPTIONS"]["options"]
    assert entry["OPTIONS"]["connect_timeout"] == 5


def test_sqlite_gets_immediate_transactions_and_full_synchronous(given):
    given("sqlite:////var/lib/db.sqlite3")

    entry = environment.database(NAME)

    assert entry["NAME"] == "/var/lib/db.sqlite3"
    assert entry["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in entry["OPTIONS"]["init_command"]


@pytest.mark.parametrize(
    "url", ["amqp://guest:guest@localhost:5672//", "sqlite:////tmp/broker.sqlite3"]
)
def test_guest_and_the_embedded_broker_are_for_development_only(given, url):
    given(url, ENVIRONMENT="development")
    assert environment.broker(NAME) == url

    given(url, ENVIRONMENT="production")

    assert "expected" in refusal(environment.broker)


def test_an_smtp_address_becomes_django_settings(given):
    given("smtp+tls://user:secret@mail.example.com:587")

    config = environment.email(NAME)

    assert config["EMAIL_HOST"] == "mail.example.com"
    assert config["EMAIL_PORT"] == 587
    assert config["EMAIL_HOST_PASSWORD"] == "secret"
    assert config["EMAIL_USE_TLS"] is True
