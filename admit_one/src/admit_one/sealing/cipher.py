"""Seals values at rest: AES-256-GCM, with the id of the key in front.

Layout of a sealed value: one byte, 0x80 + the length of the key id; key id; 12 bytes nonce;
ciphertext and tag. Purpose and row are authenticated too, so a value does not unseal in another
column or in another row.

The first format had neither 0x80 nor row, and used the key of the setting itself for everything.
Its values are still unsealed, and its fingerprints compared; `rotate_keys` reseals the former.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import cache
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from admit_one.contract.errors import MessagingError

from .derived import derived
from .keyring import is_key_id, sealed_purposes, sealing_keys

NONCE_BYTES = 12
FINGERPRINT_BYTES = 16

SECOND_FORMAT = 0x80
"""Added to the length of the key id, which is `keyring.LONGEST_KEY_ID` at most."""

RowId = UUID | str | int
"""What identifies a row: the value of the field that `Sealed.row` names."""


class Unsealable(MessagingError):
    """A sealed value cannot be unsealed: its key is not in SEALING_KEYS, or it was changed."""


class _Parts(NamedTuple):
    kid: str
    """Empty if the id is invalid."""
    rest: bytes
    first_format: bool


def seal(data: bytes, purpose: str, row: RowId) -> bytes:
    """`data`, readable again only by `unseal` for the same purpose and row, with a listed key.

    Raises `ValueError` for a purpose of no listed column: `rotate_keys` would not find the value,
    and would report its key as removable.
    """
    if purpose not in sealed_purposes():
        raise ValueError(
            f"no column is sealed for the purpose {purpose!r}: list it in the KEYRING of the "
            f"service's wiring, so that rotate_keys finds it, or use one of "
            f"{sorted(sealed_purposes())}"
        )
    kid, key = _active()
    nonce = os.urandom(NONCE_BYTES)
    return _head(kid) + nonce + derived(key).cipher.encrypt(nonce, data, _bound(purpose, row))


def unseal(sealed: bytes | memoryview, purpose: str, row: RowId) -> bytes:
    """What `seal` was given.

    Raises `Unsealable` if the key is unknown, or if the value was changed, or sealed for another
    purpose or row.
    """
    kid, rest, first_format = _split(sealed)
    if not kid:
        raise Unsealable("sealed with an unknown key")
    key = sealing_keys().get(kid)
    if key is None:
        raise Unsealable(f"sealed with key {kid!r}, which SEALING_KEYS does not list")
    cipher, bound = (
        (_first_cipher(key), purpose.encode())
        if first_format
        else (derived(key).cipher, _bound(purpose, row))
    )
    try:
        return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        raise Unsealable(
            f"sealed with key {kid!r}, but changed, or sealed for another column or row"
        ) from None


def key_id(sealed: bytes | memoryview) -> str:
    """The id of the key that made a sealed value or a fingerprint; empty if the id is invalid."""
    return _split(sealed).kid


def is_first_format(sealed: bytes | memoryview) -> bool:
    """Whether a sealed value is of the first format, which names no row."""
    return _split(sealed).first_format


def active_key_id() -> str:
    """The id of the key that seals now: the first of SEALING_KEYS."""
    return _active()[0]


def lookup_hash(value: str, key: bytes) -> bytes:
    """32 bytes by which to look up `value` without storing it: HMAC-SHA256 under `key`."""
    return hmac.digest(key, value.encode(), "sha256")


def fingerprint(data: bytes) -> bytes:
    """A keyed hash of `data` with the key's id in front, for `matches`."""
    kid, key = _active()
    return _head(kid) + _keyed(data, derived(key).fingerprint)


def fingerprints(data: bytes) -> list[bytes]:
    """All fingerprints that `data` may have: of each of SEALING_KEYS, in their order, in both
    formats. The first one is `fingerprint`."""
    keys = sealing_keys().items()
    ours = [_head(kid) + _keyed(data, derived(key).fingerprint) for kid, key in keys]
    return ours + [_first_head(kid) + _keyed(data, key) for kid, key in keys]


def matches(known: bytes | memoryview, data: bytes) -> bool:
    """Whether `known` is the fingerprint of `data`; assumed if its key is no longer listed."""
    kid, rest, first_format = _split(known)
    key = sealing_keys().get(kid)
    if key is None:
        return True
    ours = _keyed(data, key if first_format else derived(key).fingerprint)
    return hmac.compare_digest(rest, ours)


def heads(kid: str) -> tuple[bytes, bytes]:
    """What sealed values and fingerprints made with this key start with, in either format."""
    return _head(kid), _first_head(kid)


def _bound(purpose: str, row: RowId) -> bytes:
    return f"{purpose}\0{row}".encode()


def _keyed(data: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=FINGERPRINT_BYTES, key=key, person=b"inbox").digest()


def _active() -> tuple[str, bytes]:
    return next(iter(sealing_keys().items()))


@cache
def _head(kid: str) -> bytes:
    first = _first_head(kid)
    return bytes([first[0] + SECOND_FORMAT]) + first[1:]


def _first_head(kid: str) -> bytes:
    name = kid.encode()
    return bytes([len(name)]) + name


def _split(value: bytes | memoryview) -> _Parts:
    value = bytes(value)  # drivers may hand out memoryviews
    first = value[0] if value else 0
    end = 1 + first % SECOND_FORMAT
    kid = value[1:end].decode("utf-8", "replace")
    # An invalid key id is part of the value itself, and must not be shown.
    return _Parts(kid if is_key_id(kid) else "", value[end:], first < SECOND_FORMAT)


@cache
def _first_cipher(key: bytes) -> AESGCM:
    return AESGCM(key)
