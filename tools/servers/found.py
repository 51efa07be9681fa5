"""Finds one server: tries several ways in order, and uses the first that works."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

WAY = "use this one (default: the first that works, in this order)"
"""The help text of options that choose a way."""


class NotHere(Exception):
    """One way did not work; the message gives the reason."""


class NoServer(Exception):
    """No way worked; the message lists them all."""


@dataclass(frozen=True)
class Way:
    """One way to get a server: `get` returns its URL, and puts its clean-up on the stack."""

    advice: str
    get: Callable[[ExitStack], str]


@dataclass(frozen=True)
class Product:
    """The kind of server. `probe` connects and returns the version, or raises `NotHere`."""

    name: str
    variable: str
    """The environment variable with a URL; if it is set, that server must answer."""
    probe: Callable[[str], str]
    ways: Mapping[str, Way]


@dataclass(frozen=True)
class Server:
    """A server that has answered."""

    name: str
    version: str
    way: str
    url: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.way}) at {without_password(self.url)}"


def find(product: Product, stack: ExitStack, only: str = "") -> Server:
    """The first server that answers; with `only`, no other way is tried. Raises `NoServer`."""
    if only and only not in product.ways:
        raise NoServer(f"{product.name}: expected one of {', '.join(product.ways)}, got {only!r}")
    why_not = {}
    for name, way in product.ways.items():
        if only and name != only:
            continue
        try:
            return _try(product, name, way, stack)
        except NotHere as reason:
            if name == "environment" and os.environ.get(product.variable):
                raise NoServer(f"{product.variable} is set, but {reason}") from None
            why_not[name] = str(reason)
    raise NoServer(_all_ways(product, why_not))


def _try(product: Product, name: str, way: Way, stack: ExitStack) -> Server:
    with ExitStack() as own:
        url = way.get(own)
        server = Server(product.name, product.probe(url), name, url)
        stack.enter_context(own.pop_all())
    return server


def _all_ways(product: Product, why_not: Mapping[str, str]) -> str:
    lines = [f"No {product.name} was found or could be started. Do one of these:"]
    for name, reason in why_not.items():
        lines += [f"  - {product.ways[name].advice}", f"      now: {reason}"]
    return "\n".join(lines)


def from_environment(variable: str) -> Way:
    """The server that `variable` points at."""

    def get(_: ExitStack) -> str:
        url = os.environ.get(variable, "")
        if not url:
            raise NotHere("not set")
        return url

    return Way(f"set {variable} to the URL of a server for test data", get)


def temporary_folder(stack: ExitStack, name: str) -> Path:
    """A folder that is removed when the stack closes."""
    context = tempfile.TemporaryDirectory(prefix=f"admit-one-{name}-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(context))


def must_be_executable(program: Path) -> None:
    """Raises `NotHere` for a program that may not be run, where it is."""
    if not os.access(program, os.X_OK):
        raise NotHere(
            f"{program} may not be executed: is its file system mounted noexec? "
            "TMPDIR=/path chooses another folder for temporary files"
        )


def without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url
