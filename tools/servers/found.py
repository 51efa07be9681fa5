"""Looking for one server: ways in order, the first that works, and why the others did not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

WAY = "take this one (default: the first that works, in this order)"
"""For the --help of every command that lets its user choose."""


class NotHere(Exception):
    """One way leads to no server; the message gives the reason in a few words."""


class NoServer(Exception):
    """No way leads to a server; the message names every way there is."""


@dataclass(frozen=True)
class Way:
    """One way to a server: `get` returns its URL and leaves what ends it on the stack."""

    advice: str
    get: Callable[[ExitStack], str]


@dataclass(frozen=True)
class Product:
    """What is looked for. `probe` shakes hands and returns the version, or raises `NotHere`."""

    name: str
    variable: str
    """The environment variable that points at a server; it is believed, or it is an error."""
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
    """The first server that answers, by the way called `only` if given. Raises `NoServer`."""
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
    lines = [f"No {product.name} can be had here. Any one of these gives one:"]
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

    return Way(f"set {variable} to the URL of a server you may fill with test data", get)


def temporary_folder(stack: ExitStack, name: str) -> Path:
    """A folder for a private server, removed when the stack closes."""
    context = tempfile.TemporaryDirectory(prefix=f"admit-one-{name}-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(context))


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url
