"""Wrong settings stop the process; the error says what was expected and shows no secret."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Annotated, Any, Literal

import pytest
from admit_one.environment import (
    BrokerUrl,
    DatabaseUrl,
    Environment,
    HostName,
    Key,
    KeysById,
    LimitsUrl,
    MailUrl,
    OptionalKey,
    SecretText,
    Sender,
    Words,
    Wrong,
    database,
    development,
    whole,
)
from admit_one.masking import mask

from admit_one import masking

RANDOM = bytes(range(32))
KEY = base64.urlsafe_b64encode(RANDOM).decode()
STANDARD = base64.b64encode(bytes(range(224, 256))).decode()
NAME = "A_SETTING"
SECRET = "only-for-tests-" * 3


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch):
    monkeypatch.setattr(masking, "_secrets", set())
    monkeypatch.setattr(masking, "_any_secret", None)


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


def read(kind: Any, default: Any = ...) -> Any:
    """The value of A_SETTING, whose kind is this."""
    fields = {"__annotations__": {NAME: kind}, **({} if default is ... else {NAME: default})}
    settings: Any = type("Settings", (Environment,), fields)
    return getattr(settings.read(), NAME)


def refusal(kind: Any, default: Any = ...) -> str:
    with pytest.raises(SystemExit) as ended:
        read(kind, default)
    return str(ended.value)


def test_a_missing_required_setting_is_named(given):
    given(None)

    assert refusal(str) == "A_SETTING: expected a value, got nothing"
    assert refusal(SecretText) == "A_SETTING: expected at least 32 characters, got nothing"


def test_all_faults_are_named_at_once_with_a_line_each(given):
    class Settings(Environment):
        A_SETTING: Annotated[int, whole(1, 10)]
        A_SECRET: SecretText
        A_BROKER: BrokerUrl
        A_LEVEL: Literal["high", "low"] = "low"

    given("11", A_SECRET="hunter2", A_BROKER="amqp://guest:hunter2@host", A_LEVEL="middle")

    with pytest.raises(SystemExit) as ended:
        Settings.read()

    assert str(ended.value).splitlines() == [
        "A_SETTING: expected a whole number from 1 to 10, got '11'",
        "A_SECRET: expected at least 32 characters, got 7",
        "A_BROKER: expected a user of its own (or ENVIRONMENT=development), got guest",
        "A_LEVEL: expected one of high, low, got 'middle'",
    ]


def test_a_blank_setting_counts_as_missing_and_takes_the_default(given):
    given("   ")

    assert read(str, "default") == "default"


@pytest.mark.parametrize("value", ["0", "11", "-5", "five", "5.0", "1e1", "٥x", "²"])
def test_a_number_outside_its_bounds_is_refused(given, value):
    given(value)

    message = refusal(Annotated[int, whole(1, 10)])

    assert message == f"A_SETTING: expected a whole number from 1 to 10, got {value!r}"


def test_a_number_within_its_bounds_is_accepted(given):
    given("10")

    assert read(Annotated[int, whole(1, 10)]) == 10


def test_a_value_outside_its_choices_is_refused(given):
    given("red")

    assert refusal(Literal["a", "b"], "a") == "A_SETTING: expected one of a, b, got 'red'"


def test_a_list_is_split_at_commas_and_trimmed(given):
    given(" a, b,,c ")

    assert read(Words) == ["a", "b", "c"]


def test_every_environment_but_development_counts_as_production(given):
    given(None, ENVIRONMENT="staging")
    assert development() is False

    given(None, ENVIRONMENT=None)
    assert development() is False

    given(None, ENVIRONMENT="development")
    assert development() is True


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SecretText, "hunter2"),
        (Key, "hunter2"),
        (Key, base64.urlsafe_b64encode(b"hunter2").decode()),
        (Key, "hunter2" * 10 + "é"),
        (KeysById, "hunter2"),
        (KeysById, f"hunter2:{KEY[:-4]}"),
        (KeysById, f"hunter2!:{KEY}"),
        (KeysById, f":{KEY}"),
        (KeysById, f"hunter2:{KEY},hunter2:{KEY}"),
        (KeysById, f"hunter2hunter2hunter2:{KEY}"),
        (DatabaseUrl, "hunter2"),
        (DatabaseUrl, "mysql://user:hunter2@host/name"),
        (DatabaseUrl, "postgres://user:hunter2@host:port/name"),
        (DatabaseUrl, "postgres://user:hunter2@host"),
        (DatabaseUrl, "postgres://user:hunter2@[host/name"),
        (DatabaseUrl, "postgres://user:hun/ter2@host/name"),
        (DatabaseUrl, "sqlite://user:hunter2@host/name"),
        (DatabaseUrl, "sqlite:///hunter2.sqlite3"),
        (BrokerUrl, "hunter2"),
        (BrokerUrl, "redis://:hunter2@host"),
        (LimitsUrl, "hunter2"),
        (LimitsUrl, "amqp://:hunter2-hunter2@host"),
        (LimitsUrl, "redis://host/0"),
        (LimitsUrl, "redis://:hunter2@host/0"),
        (LimitsUrl, "redis://:hunter2-hunter2@host/hunter2"),
        (LimitsUrl, "redis://:hunter2-hunter2@a,b/0"),
        (LimitsUrl, "redis://:hunter2-hunter2@host/0?db=1"),
        (LimitsUrl, "unix:///hunter2.socket"),
        (BrokerUrl, "amqp://"),
        (BrokerUrl, "amqp://guest:hunter2@host"),
        (BrokerUrl, "amqp://host:5672//"),
        (BrokerUrl, "amqp://user:hunter2@host:port//"),
        (BrokerUrl, "amqp://user:hunter2@[host//"),
        (BrokerUrl, "amqp://user:hun/ter2@host//"),
        (BrokerUrl, "sqlite:////absolute/path"),
        (BrokerUrl, "sqlite:///relative"),
        (MailUrl, "hunter2"),
        (MailUrl, "smtp://"),
        (MailUrl, "http://user:hunter2@host"),
        (MailUrl, "smtp://user:hunter2@host:port"),
        (MailUrl, "hunter2:25"),
        (Sender, "hunter2"),
        (HostName, "hunter2@mail.shop.example"),
        (HostName, "mail.shop.example hunter2"),
        (Sender, "Ünï <hunter2@exämple.org>"),
        (Sender, "ada@example.org, hunter2@example.org"),
        (Sender, "Ada <ada@example.org>\nBcc: hunter2@example.org"),
    ],
)
def test_an_invalid_value_is_refused_and_never_shown(given, kind, value):
    given(value)

    message = refusal(kind)

    assert message.startswith("A_SETTING: expected ")
    assert "ter2" not in message


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Key, base64.urlsafe_b64encode(bytes(32)).decode()),
        (OptionalKey, base64.urlsafe_b64encode(b"0123456789abcde" * 2 + b"00").decode()),
        (KeysById, f"k1:{base64.urlsafe_b64encode(bytes(32)).decode()}"),
        (SecretText, "x" * 50),
        (SecretText, "django-insecure-" + SECRET),
        (DatabaseUrl, "postgres://user:hunter2@host/name"),
        (DatabaseUrl, "postgres://user@host/name?sslpassword=hunter2"),
        (BrokerUrl, "amqp://user:hunt%65r2@host//"),
        (MailUrl, "smtp://user:hunter2@host"),
    ],
)
def test_what_can_be_guessed_is_refused_outside_development(given, kind, value):
    given(value)
    message = refusal(kind)

    assert message.endswith(
        (
            "(or ENVIRONMENT=development), got one that can be guessed",
            "(or ENVIRONMENT=development), got a shorter one",
        )
    )
    assert "ter2" not in message

    given(value, ENVIRONMENT="development")
    assert read(kind)


def test_sealing_keys_keep_their_order_and_need_no_padding(given):
    given(f"new:{KEY},old:{KEY.rstrip('=')}")

    keys = read(KeysById)
    assert keys == {"new": RANDOM, "old": RANDOM}
    assert next(iter(keys)) == "new"


def test_postgresql_gets_timeouts_so_that_every_wait_ends(given):
    given("postgres://user:p%40ss-word@host:5433/name")

    entry = read(DatabaseUrl)

    assert (entry["USER"], entry["PASSWORD"], entry["HOST"]) == ("user", "p@ss-word", "host")
    assert (entry["PORT"], entry["NAME"]) == ("5433", "name")
    assert entry["ENGINE"] == "admit_one.database.postgresql"
    assert entry["OPTIONS"]["connect_timeout"] == 5


def test_sqlite_gets_immediate_transactions_and_full_synchronous(given):
    given("sqlite:////var/lib/db.sqlite3")

    entry = read(DatabaseUrl)

    assert entry["NAME"] == "/var/lib/db.sqlite3"
    assert entry["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in entry["OPTIONS"]["init_command"]


@pytest.mark.parametrize(
    "url", ["amqp://guest:guest@localhost:5672//", "sqlite:////tmp/broker.sqlite3"]
)
def test_guest_and_the_embedded_broker_are_for_development_only(given, url):
    given(url, ENVIRONMENT="development")
    assert read(BrokerUrl) == url

    given(url, ENVIRONMENT="production")

    assert "expected" in refusal(BrokerUrl)


@pytest.mark.parametrize("url", ["", "hunter2", "mysql://user:hunter2@host/name"])
def test_an_invalid_database_url_is_refused_in_plain_settings_too(url):
    with pytest.raises(Wrong, match="expected postgres://user:password@host/name or") as refused:
        database(url)

    assert "hunter2" not in str(refused.value)


def test_options_in_a_postgresql_url_override_our_timeouts(given):
    given("postgres://user@host/name?sslmode=verify-full&connect_timeout=3")

    options = read(DatabaseUrl)["OPTIONS"]

    assert (options["sslmode"], options["connect_timeout"]) == ("verify-full", "3")
    assert options["tcp_user_timeout"] == 15000


def test_an_smtp_url_is_parsed(given):
    given("smtp+tls://user:p%40ss-word@mail.example.com:587")

    server = read(MailUrl)

    assert (server.host, server.port) == ("mail.example.com", 587)
    assert (server.user, server.password) == ("user", "p@ss-word")
    assert (server.tls, server.ssl) == (True, False)


def test_a_mail_server_uses_port_25_by_default(given):
    given("smtp://127.0.0.1")

    assert read(MailUrl).port == 25


# NAME_FILE


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SecretText, SECRET, SECRET),
        (Key, KEY, RANDOM),
        (OptionalKey, KEY, RANDOM),
        (KeysById, f"k1:{KEY}", {"k1": RANDOM}),
        (BrokerUrl, "amqp://user:hunter2-hunter2@host//", "amqp://user:hunter2-hunter2@host//"),
    ],
)
def test_a_secret_is_read_from_its_named_file(given, tmp_path, kind, text, value):
    (tmp_path / "secret").write_text(f"{text}\n")
    given(None, A_SETTING_FILE=str(tmp_path / "secret"))

    assert read(kind) == value


@pytest.mark.parametrize("written", ["{}\r\n", "\ufeff{}\n", "\n  {}  \n\n"])
def test_a_byte_order_mark_and_blanks_around_a_secret_are_ignored(given, tmp_path, written):
    (tmp_path / "secret").write_text(written.format(SECRET), encoding="utf-8", newline="")
    given(None, A_SETTING_FILE=str(tmp_path / "secret"))

    assert read(SecretText) == SECRET


@pytest.mark.timeout(10)
def test_an_endless_file_is_refused_and_not_read_to_its_end(given):
    given(None, A_SETTING_FILE="/dev/zero")

    assert refusal(SecretText).endswith("a file of at most 65,536 characters, got more")


def test_database_and_mail_server_are_read_from_files_too(given, tmp_path):
    (tmp_path / "secret").write_text("postgres://user:hunter2-hunter2@host/name")
    given(None, A_SETTING_FILE=str(tmp_path / "secret"))
    assert read(DatabaseUrl)["PASSWORD"] == "hunter2-hunter2"

    (tmp_path / "secret").write_text("smtp://user:hunter2-hunter2@host")
    assert read(MailUrl).password == "hunter2-hunter2"


def test_a_value_and_a_file_together_are_a_fault(given, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    given(SECRET, A_SETTING_FILE=str(tmp_path / "secret"))

    assert refusal(SecretText) == (
        "A_SETTING: expected either A_SETTING or A_SETTING_FILE, got both"
    )


def test_a_file_that_cannot_be_read_is_named_without_its_path(given, tmp_path):
    given(None, A_SETTING_FILE="/hunter2")
    assert refusal(SecretText) == (
        "A_SETTING: expected A_SETTING_FILE to name a file that can be read, "
        "got No such file or directory"
    )

    (tmp_path / "secret").write_bytes(b"\xff")
    given(None, A_SETTING_FILE=str(tmp_path / "secret"))
    assert "UTF-8" in refusal(SecretText)

    (tmp_path / "secret").write_text("\n")
    assert refusal(SecretText).endswith("got nothing")


def test_only_secrets_are_read_from_files(given, tmp_path):
    (tmp_path / "secret").write_text("5")
    given(None, A_SETTING_FILE=str(tmp_path / "secret"))

    assert refusal(Annotated[int, whole(1, 10)]).endswith("got nothing")


# masking


@pytest.mark.parametrize(
    ("kind", "value", "secret"),
    [
        (SecretText, SECRET, SECRET),
        (Key, KEY, KEY),
        (Key, KEY, KEY.rstrip("=")),
        (Key, KEY, RANDOM.hex()),
        (Key, base64.urlsafe_b64encode(bytes(range(224, 256))).decode(), STANDARD),
        (OptionalKey, KEY, KEY),
        (KeysById, f"k1:{KEY},k2:{KEY[::-1]}", KEY[::-1]),
        (KeysById, f"{KEY}", KEY),
        (DatabaseUrl, "postgres://user:p%2Fss-word@host/name", "p/ss-word"),
        (DatabaseUrl, "postgres://user:p%2Fss-word@host/name", "p%2Fss-word"),
        (DatabaseUrl, "postgres://host/name?sslpassword=hunter2-hunter2", "hunter2-hunter2"),
        (DatabaseUrl, "postgres://user:hun/ter2@host/name", "hun/ter2"),
        (BrokerUrl, "amqp://user:hunter2-hunter2@host?x=a@b", "hunter2-hunter2"),
        (
            BrokerUrl,
            "amqp://u:first-word@a;amqp://u:hunter2-hunter2@b",
            "hunter2-hunter2",
        ),
        (BrokerUrl, "amqp://user:hunter2;hunter2@a//", "hunter2;hunter2"),
        (MailUrl, "smtp://user:hunter2-hunter2@host", "hunter2-hunter2"),
    ],
)
def test_a_secret_is_masked_as_soon_as_it_is_read(given, kind, value, secret):
    given(value)
    with suppress(SystemExit):
        read(kind)

    masked = mask(f"x{secret}y and again {secret!r}")

    assert masked == "x***y and again '***'"
