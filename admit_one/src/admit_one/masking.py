"""Keeps secrets, mail addresses and access codes out of logs, kept reasons and tracebacks.

Addresses and codes are known by their form, secrets by their value: settings `learn` them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

SHORTEST_SECRET = 6
"""Characters. A shorter one, such as RabbitMQ's `guest`, would take words out of sentences."""

# Each pattern starts where a run of its letters starts, or is bounded, so that a long hostile
# text costs one pass over it and not one a letter.
_ADDRESS = re.compile(
    r"(?<![^\s@<>\"'(),:;=*/\[\]{}])[^\s@<>\"'(),:;=*/\[\]{}]+@[^\s@<>\"'(),:;\[\]{}]+"
)
_CODE = re.compile(
    r"\b[0-9A-Za-z]{4}(?:-[0-9A-Za-z]{4}){3,}\b"
    # As people type it; the digit tells it from four short words.
    r"|\b(?=[A-Za-z ]{0,18}[0-9])[0-9A-Za-z]{4}(?: [0-9A-Za-z]{4}){3,}\b"
)
_LOGIN = re.compile(r"(?<=://)[^\s\"'<>]{1,300}@")

_secrets: set[str] = set()
_any_secret: re.Pattern[str] | None = None


def learn(secrets: Iterable[str]) -> None:
    """From now on, mask these values: as they are, percent-encoded, and as `repr` shows them."""
    global _any_secret  # noqa: PLW0603 (compiled once, not for each line)
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            _secrets.update((secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1]))
    if _secrets:
        longest_first = sorted(_secrets, key=len, reverse=True)
        _any_secret = re.compile("|".join(map(re.escape, longest_first)))


def mask(text: str) -> str:
    """`text` with secrets, mail addresses, access codes and logins in URLs unreadable."""
    if _any_secret is not None:
        text = _any_secret.sub("***", text)
    text = _LOGIN.sub("***@", text)
    text = _ADDRESS.sub(lambda found: mask_address(found[0]), text)
    return _CODE.sub("****-****-****-****", text)


def harmless(text: str) -> str:
    """One masked line of a third party's text, without a character that a terminal obeys."""
    return "".join(letter if letter.isprintable() else "?" for letter in mask(text))


def mask_address(address: str) -> str:
    """`ada@example.com` as `a…@e….com`: enough to recognise, not enough to write to."""
    local, _, domain = address.rpartition("@")
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}…@{(name or top)[:1]}…{dot + top if dot else ''}"
