"""What rests in the database rests sealed: AES-256-GCM, with the key's id in front.

Layout of a sealed value: one byte length of the key id, key id, 12 bytes nonce, ciphertext and tag.
The purpose is authenticated too, so a value sealed for one column does not open in another.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from admit_one.contract.errors import MessagingError

from .conf import sealing_keys

NONCE_BYTES = 12
FINGERPRINT_BYTES = 16
LONGEST_KEY_ID = 16
"""Letters or digits."""


class Unsealable(MessagingError):
    """A sealed value does not open: its key is not in SEALING_KEYS, or it was changed."""


def seal(data: bytes, purpose: str) -> bytes:
    """`data`, readable again only with `unseal`, the same purpose and a key still listed."""
    kid, key = _active()
    nonce = os.urandom(NONCE_BYTES)
    name = kid.encode()
    return bytes([len(name)]) + name + nonce + _cipher(key).encrypt(nonce, data, purpose.encode())


def unseal(sealed: bytes | memoryview, purpose: str) -> bytes:
    """What `seal` was given. Raises `Unsealable` if the key is unknown or the value was changed."""
    sealed = bytes(sealed)  # drivers may hand out memoryviews
    kid, rest = _split(sealed)
    key = sealing_keys().get(kid)
    if not kid:
        raise Unsealable("sealed with an unknown key")
    if key is None:
        raise Unsealable(f"sealed with key {kid!r}, which SEALING_KEYS does not list")
    try:
        return _cipher(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        raise Unsealable(f"sealed with key {kid!r}, but changed or for another purpose") from None


def key_id(sealed: bytes | memoryview) -> str:
    """Which of SEALING_KEYS has made a sealed value or a fingerprint; empty if none can have."""
    return _split(bytes(sealed))[0]


def active_key_id() -> str:
    """Which of SEALING_KEYS seals now: the first."""
    return _active()[0]


def lookup_hash(value: str, key: bytes) -> bytes:
    """32 bytes that find `value` again without telling it: HMAC-SHA256 under `key`."""
    return hmac.digest(key, value.encode(), "sha256")


def fingerprint(data: bytes) -> bytes:
    """A keyed hash of `data` with the key's id in front, to compare with later by `matches`."""
    kid, key = _active()
    name = kid.encode()
    return bytes([len(name)]) + name + _keyed(data, key)


def matches(known: bytes | memoryview, data: bytes) -> bool:
    """Whether `known` is the fingerprint of `data`; true if its key is gone, as nobody can tell."""
    kid, rest = _split(bytes(known))
    key = sealing_keys().get(kid)
    return key is None or hmac.compare_digest(rest, _keyed(data, key))


def _keyed(data: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=FINGERPRINT_BYTES, key=key, person=b"inbox").digest()


def _active() -> tuple[str, bytes]:
    return next(iter(sealing_keys().items()))


def _split(value: bytes) -> tuple[str, bytes]:
    end = 1 + value[0] if value else 0
    kid = value[1:end].decode("utf-8", "replace")
    # What cannot be a key id is some of the value itself: it must not be shown as one.
    return (kid if kid.isalnum() and len(kid) <= LONGEST_KEY_ID else ""), value[end:]


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)
