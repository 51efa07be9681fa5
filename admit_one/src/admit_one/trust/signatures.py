"""Signs the bytes of an event for one receiver, and verifies them. Nothing is canonicalised.

What is signed: `CONTEXT`, the receiver's name, a line feed, and the body exactly as it is sent.
The body holds the event's id and time, so they are signed with it. A signature is

    v1.<id of the sender's key>.<64 bytes in URL-safe base64, without padding>
"""

from __future__ import annotations

import re

from cryptography.exceptions import InvalidSignature

from admit_one.contract.errors import Unauthenticated, UnknownKey

from . import base64url
from .keys import Own, Peer

CONTEXT = b"admit-one event signature v1\n"
"""In front of what is signed: the key signs nothing else that begins so."""

LONGEST = 120
"""Characters of a signature."""

_SIGNATURE = re.compile(r"v1\.([0-9A-Za-z]{1,16})\.([0-9A-Za-z_-]{86})")


def sign(body: bytes, own: Own, receiver: str) -> str:
    """The signature of `body` for the service `receiver`. The same bytes give the same one."""
    key_id, key = next(iter(own.keys.items()))
    return f"v1.{key_id}.{base64url.encode(key.signs.sign(_signed(body, receiver)))}"


def verify(body: bytes, signature: str, receiver: str, sender: Peer) -> None:
    """Check that `sender` has signed `body` for the service `receiver`.

    Raises `Unauthenticated`, or `UnknownKey` if the key is none of the sender's.
    """
    if not signature:
        raise Unauthenticated("it is not signed")
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise Unauthenticated("its signature is none: expected v1.<key id>.<base64>")
    key_id, encoded = match.groups()
    key = sender.keys.get(key_id)
    if key is None:
        raise UnknownKey(f"it is signed with a key {key_id!r} of {sender.service}, unknown here")
    try:
        key.verifies.verify(base64url.decode(encoded), _signed(body, receiver))
    except (InvalidSignature, ValueError):
        raise Unauthenticated(
            f"its signature is not that of the key {key_id!r} of {sender.service} over this body, "
            f"for {receiver}"
        ) from None


def _signed(body: bytes, receiver: str) -> bytes:
    return b"%s%s\n%s" % (CONTEXT, receiver.encode(), body)
