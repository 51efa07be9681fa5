"""Kinds of settings: numbers, lists and keys."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from .reading import Reads, Wrong


def whole(minimum: int, maximum: int) -> Reads:
    """A whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not minimum <= int(text) <= maximum:
            raise Wrong(repr(text))
        return int(text)

    return Reads(f"a whole number from {minimum} to {maximum}", parse)


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _secret(text: str) -> str:
    if len(text) < 32:
        raise Wrong(f"{len(text)}")
    return text


def _key(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise Wrong("something else", "32 bytes as URL-safe base64")
    return key


def _sealing_keys(text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for part in _words(text):
        kid, colon, encoded = part.partition(":")
        if not colon or not kid.isalnum() or len(kid) > 16 or kid in keys:
            raise Wrong("something else")
        keys[kid] = _key(encoded)
    return keys


def _shown(text: str) -> set[str]:
    """What gives a key away: its text, with and without padding."""
    return {text, text.rstrip("=")}


def _sealing_secrets(text: str) -> set[str]:
    # A part without a colon may be a key whose id was forgotten.
    return {shown for part in _words(text) for shown in _shown(part.partition(":")[2] or part)}


Words = Annotated[list[str], Reads("words, separated by commas", _words)]
SecretText = Annotated[str, Reads("at least 32 characters", _secret, secrets=_shown)]
Key = Annotated[bytes, Reads("32 bytes as URL-safe base64", _key, secrets=_shown)]
OptionalKey = Annotated[bytes | None, Reads("32 bytes as URL-safe base64", _key, secrets=_shown)]
SealingKeys = Annotated[
    dict[str, bytes],
    Reads(
        "kid:base64[,kid:base64], each kid once, 1-16 letters or digits",
        _sealing_keys,
        secrets=_sealing_secrets,
    ),
]
"""Keys by key id. The first one seals, all unseal."""
