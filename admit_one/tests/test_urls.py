"""URLs are read as libpq and Kombu read them, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from admit_one.database import session
from admit_one.environment import BrokerUrl, MailUrl, Wrong, database, database_urls, urls
from admit_one.environment.addresses import brokers
from admit_one.environment.urls import Host, Url
from admit_one.masking import mask
from admit_one.messaging.broker import connection as broker
from admit_one.processes.announcer import description
from hypothesis import given, strategies
from kombu.utils.url import parse_url
from psycopg.conninfo import conninfo_to_dict

from admit_one import masking

TEXT = strategies.text(
    strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)
NAMES = strategies.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
ADDRESSES = strategies.ip_addresses(v=6).map(str)
HOSTS = strategies.builds(
    Host, strategies.one_of(NAMES, ADDRESSES), strategies.none() | strategies.integers(1, 65_535)
)


@pytest.fixture(autouse=True)
def nothing_learnt(monkeypatch):
    monkeypatch.setattr(masking, "_secrets", set())
    monkeypatch.setattr(masking, "_any_secret", None)


def refusal(read: Any, url: str) -> str:
    with pytest.raises(Wrong) as refused:
        read(url)
    return str(refused.value)


def broker_url(url: str, monkeypatch: Any) -> str:
    monkeypatch.setenv("ENVIRONMENT", "production")
    [kind] = BrokerUrl.__metadata__  # type: ignore[attr-defined]
    return str(kind.parse(url))


# each library reads what we read


@given(TEXT, TEXT, strategies.lists(HOSTS, min_size=1, max_size=3), TEXT)
def test_a_written_url_is_read_back_and_libpq_agrees(user, password, hosts, name):
    written = urls.write(Url("postgres", user, password, tuple(hosts), name))
    read = urls.read(written, "")
    libpq = conninfo_to_dict(written)

    assert read == Url("postgres", user, password, tuple(hosts), name)
    assert (libpq["user"], libpq["password"], libpq["dbname"]) == (user, password, name)
    assert str(libpq["host"]).split(",") == [host.name for host in hosts]


@given(TEXT, TEXT, HOSTS, TEXT)
def test_a_written_url_is_read_by_kombu_alike(user, password, host, vhost):
    written = urls.write(Url("amqp", user, password, (host,), vhost))
    kombu = parse_url(written)

    assert (kombu["userid"], kombu["password"]) == (user, password)
    assert (kombu["hostname"], kombu["port"]) == (host.name, host.port)
    assert kombu["virtual_host"] == vhost
    assert ";" not in written


@pytest.mark.parametrize(
    "url",
    [
        "postgres://us%40er:p%2Fss%3A@db.example:5433/the%20name",
        "postgresql://user:p+s;s:w@a:5432,b,c:5434/name?target_session_attrs=primary",
        "postgres://user@[2001:db8::1]:5433/name?sslmode=verify-full",
        "postgres://user@%2Fvar%2FRun%2Fpostgresql/name",
        "postgres:///name?host=/var/run/postgresql&user=me&password=a+b%20c",
        "postgres:///name?host=a,b&port=5432,5433&target_session_attrs=read-write",
        "postgres://user@A.Example/name?application_name=a%26b",
        "postgres://user@host/?dbname=name",
    ],
)
def test_a_database_url_is_read_as_libpq_reads_it(url):
    entry = database(url)
    ours = {
        "dbname": entry["NAME"],
        "user": entry["USER"],
        "password": entry["PASSWORD"],
        "host": entry["HOST"],
        "port": entry["PORT"],
        **entry["OPTIONS"],
    }
    libpq = {name: str(value) for name, value in conninfo_to_dict(url).items()}

    assert {name: ours.get(name) for name in libpq} == libpq


def test_several_hosts_mean_the_one_that_can_be_written():
    entry = database("postgres://user:secret-word@a:5432,b:5433/name")

    assert (entry["HOST"], entry["PORT"]) == ("a,b", "5432,5433")
    assert entry["OPTIONS"]["target_session_attrs"] == "read-write"
    assert "target_session_attrs" not in database("postgres://a/name")["OPTIONS"]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgres://host/name#x", "got a fragment (#)"),
        ("postgres://user:hun#ter2@host/name", "got a fragment (#)"),
        ("postgres://host/name?pool=true", "got the parameter pool"),
        ("postgres://host/name?isolation_level=4", "got the parameter isolation_level"),
        ("postgres://host/name?client_encoding=LATIN1", "got the parameter client_encoding"),
        ("postgres://host/name?service=x", "got the parameter service"),
        ("postgres://host/name?sslmode=a&sslmode=b", "got the parameter sslmode twice"),
        ("postgres://host/name?host=other", "got host twice"),
        ("postgres://user@host/name?user=other", "got user twice"),
        ("postgres://host/name?options=-c%20statement_timeout=0", "got statement_timeout"),
        ("postgres://host/name?options=-cTimeZone=CET", "got timezone"),
        ("postgres://host/name?options=--statement-timeout%3D0", "got statement_timeout"),
        ("postgres://host/name?options=-c%20lock-timeout%3D0", "got lock_timeout"),
        ("postgres://host/name?connect_timeout=0", "connect_timeout from 1 to 60"),
        ("postgres://a,b/name?target_session_attrs=any", "=read-write or primary"),
        ("postgres://a/name?target_session_attrs=standby", "=any or read-write or primary"),
        ("postgres://a,b,c/name?port=1,2", "a port for each host, or one for all"),
        ("postgres://host", "got no name of a database"),
        ("sqlite:////path?mode=ro", "got the parameter mode"),
        ("sqlite:////path#1", "got a fragment (#)"),
    ],
)
def test_what_a_database_url_cannot_say_is_refused_by_name(url, named):
    message = refusal(database, url)

    assert named in message
    assert "ter2" not in message


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:hun@ter2@host/name",  # libpq ends the login at the first @
        "postgres://user:12/hunter2@host/name",
        "postgres://user:12?hunter2@host/name",
        "postgres://user:12?hun=ter2@host/name",
        "postgres://user:hun%ter2@host/name",
        "postgres://user:hun%FFter2@host/name",
        "postgres://user:hun%00ter2@host/name",
        "postgres://user:hun\tter2@host/name",
        "postgres://user:hunter2@host:65536/name",
        "postgres://user:hunter2@a,,b/name",
        "postgres://user:hunter2@[::g]/name",
        "postgres://user:hunter2@a%2Cb/name",
        "postgres://user:hunter2@host/name?x",
        "amqp://user:hun@ter2@host",
        "amqp://user:hunter2@host;b",
    ],
)
def test_a_url_that_readers_would_read_apart_is_refused_and_not_shown(url):
    message = refusal(brokers if url.startswith("amqp") else database, url)

    assert message.endswith("(%-encode the password), got an invalid URL")
    assert "hun" not in message


def test_the_path_of_a_file_may_hold_any_sign():
    path = "/a folder/100%/#1/ümlaut?.sqlite3"
    url = urls.write(Url("sqlite", path=path))

    assert database(url)["NAME"] == path
    assert [node.path for node in brokers(url)] == [path]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("smtp://host?timeout=5", "the parameter timeout"),
        ("smtp://a,b", "something else"),
        ("smtp://host/path", "something else"),
    ],
)
def test_what_a_mail_url_cannot_say_is_refused(url, named):
    [kind] = MailUrl.__metadata__  # type: ignore[attr-defined]

    assert refusal(kind.parse, url) == named


# lists of a broker's nodes


def test_kombu_gets_a_broker_url_with_everything_quoted(monkeypatch):
    url = "amqp://us:p;a+s sword@Host:5672/a/b;amqp://us:%C3%A4-password@[::1]/a/b"

    assert broker_url(url, monkeypatch) == (
        "amqp://us:p%3Ba%2Bs%20sword@Host:5672/a/b;amqp://us:%C3%A4-password@[::1]/a/b"
    )


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("amqp://us:a-password@a//;amqp://guest:x@b//", "got guest"),
        ("amqp://us:a-password@a//;amqp://b//", "got guest"),
        ("amqp://us:a-password@a//;amqp://us:short@b//", "got a shorter one"),
        ("amqp://us:er1@a//;amqps://us:er1@b//", "one scheme and one virtual host"),
        ("amqp://us:er1@a/x;amqp://us:er1@b/y", "one scheme and one virtual host"),
        ("amqp://us:er1@a//;sqlite:////path", "one scheme and one virtual host"),
        ("sqlite:////path;sqlite:////other", "one sqlite:////absolute/path, got a list"),
        ("amqp://us:er1@a,b//", "one host in each URL"),
        ("amqp://us:er1@a//?heartbeat=60", "got the parameter heartbeat"),
        ("amqp://us:er1@a//;amqp://us:er1@b//?ssl=0", "got the parameter ssl"),
        ("amqp://us:er1@a//;redis://b", "got redis"),
        ("amqp://us:er1@a//#x", "got a fragment"),
        ("amqp://us:er1@a//;", "got a ; behind a URL"),
        ("amqp://us:er1@a//;amqp://us:er1@b//;", "got a ; behind a URL"),
        ("amqp://us:er1@a//;;amqp://us:er1@b//", "got a ; behind a URL"),
        ("amqp://us:er1@a//; amqp://b//", "got a ; behind a URL"),
    ],
)
def test_every_node_of_a_list_is_checked_like_the_first(monkeypatch, url, named):
    assert named in refusal(lambda url: broker_url(url, monkeypatch), url)


def test_the_name_of_a_virtual_host_may_hold_a_quoted_semicolon(monkeypatch):
    assert broker_url("amqp://us:a-password@a/x%3By", monkeypatch).endswith("@a/x%3By")


def test_the_password_of_every_node_is_masked():
    listed = "amqp://us:first-word@a//;amqp://us:seco%2Fnd-word@b//"
    masking.learn(urls.passwords(listed))
    start = description("process", "works", listed)["broker"]

    assert start == "amqp://us@a// or amqp://us@b//"
    assert mask("first-word, seco/nd-word, seco%2Fnd-word") == "***, ***, ***"


def test_each_node_of_an_encrypted_list_is_known_by_its_own_name():
    single, several = "amqps://us:er1@a//", "amqps://us:er1@a//;amqps://us:er1@b//"

    assert broker.tls("amqp://a//") is False
    assert broker.tls(single)["server_hostname"] == "a"  # type: ignore[index]
    assert "server_hostname" not in broker.tls(several)  # type: ignore[operator]


def test_a_url_may_not_set_what_each_session_is_set_up_with():
    set_up = {name.lower() for name in (session.GUARANTEES | session.LIMITS)} | {"timezone"}

    assert set(database_urls.SET_BY_US) == set_up
