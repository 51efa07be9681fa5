"""Seals the value of a field for one service, and opens it.

The two services' keys agree on a secret (X25519), from which HKDF-SHA256 derives one AES-256-GCM
key for each direction. It is derived once and kept: a fresh exchange for each message would cost a
third of the throughput, and protect only against the later loss of a key that also opens all that
the receiver has stored. A sealed text is

    sealed.v1.<id of the sender's key>.<id of the reader's key>.<nonce, ciphertext and tag>

with the last in URL-safe base64, without padding.

The nonce has 12 random bytes, so a pair of keys is good for 2^32 values (NIST SP 800-38D, 8.3).
The event's id and type and the field's name are authenticated, so no value opens elsewhere.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from admit_one.contract.envelope import Place
from admit_one.contract.errors import Malformed, UnknownKey
from admit_one.contract.sealed import is_sealed

from . import base64url
from .keys import Own, Peer, PublicKey, WireKey, derived

NONCE_BYTES = 12
CONTEXT = "admit-one sealed field v1"
"""The first line of HKDF's `info`; the names of sender and reader follow."""

_ANY = re.compile(rb"sealed[.]v1[.][0-9A-Za-z]{1,16}[.]([0-9A-Za-z]{1,16})[.]")


def seal(place: Place, value: str, own: Own, reader: Peer) -> str:
    """The sealed text of `value`, for the newest key of `reader`."""
    our_id, key = next(iter(own.keys.items()))
    their_id, public = next(iter(reader.keys.items()))
    nonce = os.urandom(NONCE_BYTES)
    cipher = _cipher(key, public, own.service, reader.service)
    data = nonce + cipher.encrypt(nonce, value.encode(), _bound_to(place))
    return f"sealed.v1.{our_id}.{their_id}.{base64url.encode(data)}"


def unseal(place: Place, text: str, own: Own, sender: Peer) -> str:
    """The value that `sender` has sealed for us in this place.

    Raises `UnknownKey`, or `Malformed` if it was changed, or sealed for another place or by others.
    """
    _, _, their_id, our_id, encoded = text.split(".")
    name = place[-1]
    key, public = own.keys.get(our_id), sender.keys.get(their_id)
    if key is None:
        raise UnknownKey(f"data.{name} is sealed for a key {our_id!r} of ours, unknown here")
    if public is None:
        raise UnknownKey(
            f"data.{name} is sealed with a key {their_id!r} of {sender.service}, unknown here"
        )
    try:
        data = base64url.decode(encoded)
        cipher = _cipher(key, public, sender.service, own.service)
        value = cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _bound_to(place)).decode()
    except (InvalidTag, ValueError):  # a ValueError: no base64, no UTF-8, or a low-order point
        value = None
    if value is None or is_sealed(value):
        raise Malformed(f"data.{name}: sealed for another event or by others, or changed")
    return value


def reader_key_id(body: bytes) -> str:
    """The id of the key that opens the first sealed text anywhere in `body`; empty if none is."""
    match = _ANY.search(body)
    return match[1].decode() if match else ""


def _bound_to(place: Place) -> bytes:
    return "\n".join(place).encode()


@lru_cache(maxsize=64)
def _cipher(key: WireKey, public: PublicKey, sender: str, reader: str) -> AESGCM:
    info = f"{CONTEXT}\n{sender}\n{reader}".encode()
    return AESGCM(derived(key.agrees.exchange(public.agrees), info))
