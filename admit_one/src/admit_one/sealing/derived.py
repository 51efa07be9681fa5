"""The keys for each use that are made of one key of the settings, so that none has two uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


@dataclass(frozen=True)
class Derived:
    """What one key of 32 bytes becomes by HKDF-SHA256 (RFC 5869), with a label for each use."""

    cipher: AESGCM
    """Seals."""
    fingerprint: bytes
    """The key of BLAKE2b, for fingerprints."""
    canary: bytes
    """Recognises the key, and shows nothing of it."""


@cache
def derived(key: bytes) -> Derived:
    """Derived once and kept in the process, as the settings are: it takes longer than to seal."""
    return Derived(
        cipher=AESGCM(_derive(key, b"admit-one sealing: AES-256-GCM")),
        fingerprint=_derive(key, b"admit-one sealing: fingerprint, BLAKE2b"),
        canary=_derive(key, b"admit-one sealing: canary"),
    )


def _derive(key: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(key)
