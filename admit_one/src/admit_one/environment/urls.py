"""URLs are read by one function and written by another, so that no two readers can differ.

libpq, Kombu and `urlsplit` each read some URLs in their own way: `@`, `;` or `#` in a password, a
broken `%`, `+` in a parameter, capitals in a host. What they read differently is refused, and the
rest is handed on in parts or written again with everything quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import quote, unquote

from .reading import Wrong

UNREADABLE = "an invalid URL"


@dataclass(frozen=True)
class Host:
    """A host name, an address, or the folder of a Unix socket."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        numeric = ":" in self.name
        name = f"[{quote(self.name, safe=':')}]" if numeric else quote(self.name, safe="")
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True)
class Url:
    """The parts of a URL, decoded. `path` lacks the slash behind the hosts."""

    scheme: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    hosts: tuple[Host, ...] = ()
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(url: str, expected: str) -> Url:
    """The parts of `url`. Raises `Wrong`, which says that `expected` was expected."""
    scheme, divider, rest = url.partition("://")
    scheme = scheme.lower()
    if not divider or not re.fullmatch("[a-z][a-z0-9+.-]*", scheme):
        # What then stands before a colon may be secret.
        raise Wrong("something else" if url else "nothing", expected)
    if "#" in rest:
        raise Wrong("a fragment (#)", f"{expected} (write %23 for # in a password)")
    try:
        return _parts(scheme, rest)
    except ValueError as error:
        got = error.got if isinstance(error, Wrong) else UNREADABLE
        raise Wrong(got, f"{expected} (%-encode the password)") from None


def read_all(urls: str, expected: str) -> tuple[Url, ...]:
    """The parts of each URL in a list `url;url`. Raises `Wrong`."""
    return tuple(read(url, expected) for url in split(urls))


def split(urls: str) -> list[str]:
    """The URLs in a list `url;url`, as they were written. A password may contain `;`."""
    return re.split(r";(?=[A-Za-z][A-Za-z0-9+.-]*://)", urls)


def write(url: Url) -> str:
    """`url` as a text that everybody reads alike."""
    login = ""
    if url.user is not None:
        password = "" if url.password is None else f":{quote(url.password, safe='')}"
        login = f"{quote(url.user, safe='')}{password}@"
    path = f"/{quote(url.path)}" if url.path else ""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in url.query.items())
    written = f"{url.scheme}://{login}{','.join(map(str, url.hosts))}{path}"
    return f"{written}?{query}" if query else written


def shown(url: Url) -> str:
    """`url` for people: without a password or parameters."""
    login = f"{url.user}@" if url.user else ""
    path = f"/{url.path}" if url.path else ""
    return f"{url.scheme}://{login}{','.join(map(str, url.hosts))}{path}"


def absolute_path(url: Url, expected: str) -> str:
    """The path of a SQLite file. Raises `Wrong` for a URL that is none, saying what is expected."""
    if url.query:
        raise Wrong(f"the parameter {next(iter(url.query))}", expected)
    if url.hosts or url.user is not None or not Path(url.path).is_absolute():
        raise Wrong("another form", "sqlite:////absolute/path (four slashes)")
    return url.path


def passwords(urls: str) -> Iterator[str]:
    """Every password in `urls` and their parameters, as written and decoded.

    They may be invalid: a password that makes them so is masked, too.
    """
    for url in {urls, *split(urls)}:
        rest = url.partition("://")[2]
        authority = re.split("[/?#]", rest)[0]
        logins = {text.rpartition("@")[0] for text in (authority, rest)}  # it may contain a slash
        written = {login.partition(":")[2] for login in logins}
        for parameter in url.partition("?")[2].split("&"):
            name, _, value = parameter.partition("=")
            if "password" in name:
                written.add(value)
        for password in written:
            yield from (password, unquote(password))


def _parts(scheme: str, rest: str) -> Url:
    """Raises `ValueError`, or `Wrong` for what may be shown."""
    if not rest.isprintable():
        raise ValueError("a control character")  # some readers drop it
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    user, colon, password = login.partition(":")
    if "@" in f"{login}{path}{query}":
        raise ValueError("libpq ends the login at the first @, others at the last")
    return Url(
        scheme=scheme,
        user=_decoded(user) if at else None,
        password=_decoded(password) if colon else None,
        hosts=tuple(map(_host, hosts.split(","))) if hosts else (),
        path=_decoded(path),
        query=_query(query),
    )


def _host(text: str) -> Host:
    numeric = re.fullmatch(r"\[([^\[\]]+)\](?::([0-9]{1,5})?)?", text)
    named = re.fullmatch(r"([^:\[\]]+)(?::([0-9]{1,5})?)?", text)
    match = numeric or named
    if match is None:
        raise ValueError("no host, or no port")
    name, port = _decoded(match[1]), int(match[2]) if match[2] else None
    if numeric:
        IPv6Address(name)
    elif not name.startswith(("/", "@")) and re.search(r"[\s,;:/@\[\]]", name):
        raise ValueError("no host")
    if port is not None and not 0 < port < 65_536:
        raise ValueError("no port")
    return Host(name, port)


def _query(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, equals, value = part.partition("=")
        if not equals or not re.fullmatch("[A-Za-z_]+", name):
            raise ValueError("no parameter")
        if name in parameters:
            raise Wrong(f"the parameter {name} twice")
        parameters[name] = _decoded(value)
    return parameters


def _decoded(text: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a % that encodes nothing")
    decoded = unquote(text, errors="strict")
    if "\0" in decoded:
        raise ValueError("a zero byte, where C ends a text")
    return decoded
