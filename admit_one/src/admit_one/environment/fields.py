"""Kinds of settings: numbers, lists and keys."""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from .reading import Reads, Wrong, development

FEWEST_CHARACTERS = 5
"""Different ones in a SECRET_KEY, as Django's own check wants."""

FEWEST_BYTES = 16
"""Different ones in a key: of 32 random bytes about 30 differ."""

GUESSED = "one that can be guessed"

LONGEST_KEY_ID = 16
"""Letters or digits."""

PUBLIC_BYTES = 64
"""The length of the public half of a wire key (see `admit_one.trust.keys`)."""


def whole(minimum: int, maximum: int) -> Reads:
    """A whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not minimum <= int(text) <= maximum:
            raise Wrong(repr(text))
        return int(text)

    return Reads(f"a whole number from {minimum} to {maximum}", parse)


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(map(ip_network, _words(text)))
    except ValueError:  # also for one with bits beside its mask, such as 10.1.0.0/8
        raise Wrong(repr(text)) from None


def _secret(text: str) -> str:
    if len(text) < 32:
        raise Wrong(f"{len(text)}")
    made_up = len(set(text)) < FEWEST_CHARACTERS or text.startswith("django-insecure-")
    if made_up and not development():
        raise Wrong(GUESSED, "random characters (or ENVIRONMENT=development)")
    return text


def _key(text: str) -> bytes:
    key = _decoded(text)
    if len(set(key)) < FEWEST_BYTES and not development():
        raise Wrong(GUESSED, "32 random bytes (or ENVIRONMENT=development)")
    return key


def _decoded(text: str, length: int = 32) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != length:
        raise Wrong("something else", f"{length} bytes as URL-safe base64")
    return key


def _keys_by_id(text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for part in _words(text):
        kid, colon, encoded = part.partition(":")
        if not colon or not _is_key_id(kid) or kid in keys:
            raise Wrong("something else")
        keys[kid] = _key(encoded)
    return keys


def _is_key_id(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= LONGEST_KEY_ID


def _public(text: str) -> dict[str, dict[str, bytes]]:
    keys: dict[str, dict[str, bytes]] = {}
    for part in _words(text):
        service, kid, encoded = [*part.split(":"), "", ""][:3]
        of_service = keys.setdefault(service, {})
        if part.count(":") != 2 or not service or not _is_key_id(kid) or kid in of_service:
            raise Wrong("something else")
        of_service[kid] = _decoded(encoded, PUBLIC_BYTES)
    return keys


def _shown(text: str) -> set[str]:
    """The forms of a key to mask: with and without padding, in both alphabets, and its bytes."""
    forms = {text, text.rstrip("=")}
    with suppress(Wrong):
        key = _decoded(text)
        standard = base64.b64encode(key).decode()
        forms |= {standard, standard.rstrip("="), key.hex(), repr(key)[2:-1]}
    return forms


def _secrets_by_id(text: str) -> set[str]:
    """Whatever is too long to be an id: the id may be forgotten, or stand in the wrong place."""
    parts = [*_words(text), *(part for word in _words(text) for part in word.split(":"))]
    return {shown for part in parts if len(part) > LONGEST_KEY_ID for shown in _shown(part)}


Words = Annotated[list[str], Reads("words, separated by commas", _words)]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...],
    Reads("networks such as 10.0.0.0/8 or fd00::/8, separated by commas", _networks),
]
SecretText = Annotated[str, Reads("at least 32 characters", _secret, secrets=_shown)]
Key = Annotated[bytes, Reads("32 bytes as URL-safe base64", _key, secrets=_shown)]
OptionalKey = Annotated[bytes | None, Reads("32 bytes as URL-safe base64", _key, secrets=_shown)]
KeysById = Annotated[
    dict[str, bytes],
    Reads(
        "kid:base64[,kid:base64], each kid once, 1-16 letters or digits",
        _keys_by_id,
        secrets=_secrets_by_id,
    ),
]
"""Keys by key id. The first one is in use, all that was made with the others can be read."""
PublicKeys = Annotated[
    dict[str, dict[str, bytes]],
    Reads("service:kid:base64[,…], as the other service's `manage.py wire_keys` prints", _public),
]
"""The public keys of other services, by service and key id."""
