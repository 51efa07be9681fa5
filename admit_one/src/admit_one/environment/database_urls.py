"""An entry of Django's DATABASES from a URL, read as libpq reads it."""

from __future__ import annotations

from typing import Any

from admit_one.masking import learn

from . import urls
from .reading import Wrong
from .urls import Url

DATABASE = "postgres://user:password@host/name or sqlite:////absolute/path"

LISTEN = "listen"
"""The entry of DATABASES that leads to the default database past its pooler; optional."""

PARTS = ("user", "password", "host", "port", "dbname")
"""What may stand in a database's URL or in its parameters, as with libpq; not in both."""

LIBPQ = frozenset(
    """
    application_name channel_binding connect_timeout fallback_application_name gssdelegation
    gssencmode gsslib hostaddr keepalives keepalives_count keepalives_idle keepalives_interval
    krbsrvname load_balance_hosts max_protocol_version min_protocol_version options passfile
    require_auth requirepeer requiressl ssl_max_protocol_version ssl_min_protocol_version sslcert
    sslcertmode sslcompression sslcrl sslcrldir sslkey sslmode sslnegotiation sslpassword
    sslrootcert sslsni target_session_attrs tcp_user_timeout
    """.split()  # noqa: SIM905 (a list would take forty lines)
)
"""The other parameters that a database's URL may have. Django sets the encoding."""

SET_BY_US = (
    "default_transaction_isolation",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "synchronous_commit",
    "timezone",
    "client_encoding",
    "datestyle",
    "intervalstyle",
    "bytea_output",
    "standard_conforming_strings",
)
"""What `options` in a URL may not set, because `admit_one.database.session` does."""


def database(url: str) -> dict[str, Any]:
    """An entry of Django's DATABASES for `url`, with the options that several processes need.

    SQLite takes its write lock when a transaction begins; each PostgreSQL session is set up as our
    guarantees need it (`admit_one.database.session`).
    The password is masked in every log from then on. Raises `Wrong` for an invalid URL.
    """
    learn(urls.passwords(url))
    parts = urls.read(url, DATABASE)
    if parts.scheme == "sqlite":
        return _sqlite(urls.absolute_path(parts, DATABASE))
    if parts.scheme in {"postgres", "postgresql"}:
        return _postgresql(parts)
    raise Wrong(parts.scheme, DATABASE)


def _postgresql(url: Url) -> dict[str, Any]:
    given = _place(url)
    options = {name: value for name, value in url.query.items() if name not in PARTS}
    if unknown := sorted(options.keys() - LIBPQ):
        raise Wrong(f"the parameter {unknown[0]}", f"{DATABASE} with libpq's parameters")
    for name in SET_BY_US:
        if name in options.get("options", "").lower().replace("-", "_"):  # as the server reads it
            raise Wrong(name, "options without what is set for each session")
    if not given["dbname"]:
        raise Wrong("no name of a database", DATABASE)
    timeout = options.get("connect_timeout", "5")
    if not timeout.isdecimal() or not 0 < int(timeout) <= 60:
        raise Wrong("another number", "connect_timeout from 1 to 60")
    return {
        "ENGINE": "admit_one.database.postgresql",
        "NAME": given["dbname"],
        "USER": given["user"],
        "PASSWORD": given["password"],
        "HOST": given["host"],
        "PORT": given["port"],
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": 15000,
            **options,
            **_which_server(given["host"], options.get("target_session_attrs")),
        },
    }


def _place(url: Url) -> dict[str, str]:
    """`PARTS`, from wherever in `url` they stand; several hosts are a list, as in libpq."""
    ports = [str(host.port or "") for host in url.hosts]
    written = {
        "user": url.user or "",
        "password": url.password or "",
        "host": ",".join(host.name for host in url.hosts),
        "port": ",".join(ports) if any(ports) else "",
        "dbname": url.path,
    }
    for name, value in written.items():
        if value and name in url.query:
            raise Wrong(f"{name} twice", DATABASE)
        written[name] = value or url.query.get(name, "")
    listed = written["port"].split(",")
    if len(listed) not in {1, len(written["host"].split(","))}:
        raise Wrong("another number of ports", "a port for each host, or one for all")
    if any(port and not (port.isdecimal() and 0 < int(port) < 65_536) for port in listed):
        raise Wrong("another port", DATABASE)
    return written


def _which_server(host: str, wanted: str | None) -> dict[str, str]:
    """Of several servers the one that can be written, not the first that answers."""
    several = "," in host
    allowed = ("read-write", "primary") if several else ("any", "read-write", "primary")
    if wanted is None:
        return {"target_session_attrs": "read-write"} if several else {}
    if wanted not in allowed:
        raise Wrong("another value", f"target_session_attrs={' or '.join(allowed)}")
    return {"target_session_attrs": wanted}


def _sqlite(path: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # Deferred transactions fail at once when two of them want to write.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }
