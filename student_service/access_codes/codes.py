"""Access codes: 80 random bits that people can read, type and dictate."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from typing import Any

from admit_one.sealing import cipher
from django.conf import settings
from django.db.models import Q
from shared_contracts.events import AccessCodeRestored, UserSubscribed

from .models import CODE_PURPOSE, PAID, AccessCode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: no I, L, O and U, so that no two characters look alike."""

_FROM_RFC_4648 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode())
_AS_TYPED = str.maketrans("OIL", "011", " -\t\u00a0\u2010\u2011\u2012\u2013")


def make() -> str:
    """A new code, `XXXX-XXXX-XXXX-XXXX`."""
    return _in_groups(base64.b32encode(secrets.token_bytes(10)).translate(_FROM_RFC_4648).decode())


def normalise(typed: str) -> str:
    """The code that a person meant: case, spaces, hyphens and look-alikes do not matter.

    Raises `ValueError`, which does not repeat what was typed.
    """
    characters = typed.upper().translate(_AS_TYPED)
    if len(characters) != 16 or not set(characters) <= set(ALPHABET):
        raise ValueError("expected 16 letters and digits without U, in any grouping")
    return _in_groups(characters)


def lookup(code: str) -> bytes:
    """The keyed hash under which the code is found; `code` is in its normal form."""
    return cipher.lookup_hash(code, settings.CODE_LOOKUP_KEY)


def lookup_next(code: str) -> bytes | None:
    """The same under the key that is to take over, if there is one."""
    key = settings.CODE_LOOKUP_KEY_NEXT
    return None if key is None else cipher.lookup_hash(code, key)


def find(typed: str) -> AccessCode | None:
    """The code that a person typed, if it lets in: none if it is unknown or revoked.

    It is also found while one lookup key takes over from another.
    Raises `ValueError`, as `normalise` does.
    """
    code = normalise(typed)
    hashes = [value for value in (lookup(code), lookup_next(code)) if value is not None]
    return AccessCode.objects.filter(
        Q(lookup_hash__in=hashes) | Q(lookup_hash_next__in=hashes), revocation__isnull=True
    ).first()


def row(
    event: UserSubscribed | AccessCodeRestored, code: str, issued_at: datetime
) -> dict[str, Any]:
    """What is kept of a code and of what was paid for it, as a row of `AccessCode`."""
    return {name: getattr(event, name) for name in PAID} | {
        "subscription_id": event.subscription_id,
        "lookup_hash": lookup(code),
        "lookup_hash_next": lookup_next(code),
        "sealed_code": cipher.seal(code.encode(), CODE_PURPOSE),
        "issued_at": issued_at,
    }


def _in_groups(characters: str) -> str:
    return "-".join((characters[:4], characters[4:8], characters[8:12], characters[12:]))
