"""A service's wire keys: one secret of 32 bytes, from which it signs and opens.

Ed25519 (RFC 8032) signs, X25519 (RFC 7748) agrees on a key; HKDF-SHA256 (RFC 5869) derives both
private keys from the secret, so that a service keeps and rotates one secret, and no key serves two
purposes. The public half is 64 bytes: the Ed25519 public key, then the X25519 one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
PUBLIC_BYTES = 64

SIGNS = b"admit-one wire key: Ed25519"
AGREES = b"admit-one wire key: X25519"
"""The `info` of HKDF, one for each private key; there is no salt."""


@dataclass(frozen=True, eq=False)  # compared by identity, thousands of times a second
class WireKey:
    """One of a service's own keys."""

    secret: bytes = field(repr=False)

    @cached_property
    def signs(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(derived(self.secret, SIGNS))

    @cached_property
    def agrees(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(derived(self.secret, AGREES))

    @property
    def public(self) -> bytes:
        """The public half, for the settings of the other services."""
        return (
            self.signs.public_key().public_bytes_raw() + self.agrees.public_key().public_bytes_raw()
        )


@dataclass(frozen=True, eq=False)
class PublicKey:
    """The public half of another service's key. Raises `ValueError` for other than 64 bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_BYTES:
            raise ValueError(f"expected {PUBLIC_BYTES} bytes, got {len(self.raw)}")

    @cached_property
    def verifies(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw[:32])

    @cached_property
    def agrees(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.raw[32:])


class Own(NamedTuple):
    """This service, and its keys by id: the first one signs and seals, all of them open."""

    service: str
    keys: Mapping[str, WireKey]


class Peer(NamedTuple):
    """Another service, and its public keys by id: we seal for the first one."""

    service: str
    keys: Mapping[str, PublicKey]


def derived(secret: bytes, info: bytes) -> bytes:
    """32 bytes that nobody gets from `secret` for another purpose (`info`)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
