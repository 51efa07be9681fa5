"""Access codes: 80 random bits that people can read, type and dictate."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from unicodedata import normalize
from uuid import UUID

from admit_one.database import bulk
from admit_one.messaging.their_clock import believed
from admit_one.sealing import cipher
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from shared_contracts.events import AccessCodeRestored, UserSubscribed

from .models import CODE_PURPOSE, PAID, AccessCode, ReplacedCode, user_columns

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: without I, L and O, which look like digits, and without U."""

SYMBOLS = 16
"""Of a code, without the hyphens."""

_FROM_RFC_4648 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode())
_LOOK_ALIKE = str.maketrans("OIL", "011")


def make() -> str:
    """A new code, `XXXX-XXXX-XXXX-XXXX`."""
    return _in_groups(base64.b32encode(secrets.token_bytes(10)).translate(_FROM_RFC_4648).decode())


def normalise(typed: str) -> str:
    """The code that a person typed, whatever the case, spaces, hyphens and look-alikes.

    Raises `ValueError`, whose message does not contain the input.
    """
    characters = _bare(typed)
    if len(characters) != SYMBOLS or not set(characters) <= set(ALPHABET):
        raise ValueError("expected 16 letters and digits without U, in any grouping")
    return _in_groups(characters)


def is_like_one(text: str) -> bool:
    """Whether `text` has the form of a code, as people type it."""
    if len(text) < SYMBOLS:
        return False
    try:
        return bool(normalise(text))
    except ValueError:
        return False


def hidden_in(text: str) -> str:
    """`text` without words that may be codes; a digit tells them from ordinary words."""
    return " ".join(
        "***" if is_like_one(word) and any(map(str.isdecimal, word)) else word
        for word in text.split(" ")
    )


def is_in(typed: str, text: str) -> bool:
    """Whether `text` shows the code that a person typed, in whatever spelling."""
    if len(text) < SYMBOLS:
        return False
    code = _bare(typed)
    return len(code) == SYMBOLS and code in _bare(text)


def lookup(code: str) -> bytes:
    """The keyed hash by which a normalised code is looked up."""
    return cipher.lookup_hash(code, settings.CODE_LOOKUP_KEY)


def lookup_next(code: str) -> bytes | None:
    """The same with `CODE_LOOKUP_KEY_NEXT`, if it is set."""
    key = settings.CODE_LOOKUP_KEY_NEXT
    return None if key is None else cipher.lookup_hash(code, key)


def hashes(code: str) -> list[bytes]:
    """The hashes by which a normalised code may be stored, also while the key is replaced."""
    return [value for value in (lookup(code), lookup_next(code)) if value is not None]


def owners(codes: Iterable[str]) -> dict[str, UUID]:
    """The subscription of each of these normalised codes that exists."""
    hashes = ((code, value) for code in codes for value in (lookup(code), lookup_next(code)))
    by_hash = {value: code for code, value in hashes if value is not None}
    known = Q(lookup_hash__in=by_hash) | Q(lookup_hash_next__in=by_hash)
    rows = AccessCode.objects.filter(known).values_list(
        "subscription_id", "lookup_hash", "lookup_hash_next"
    )
    return {
        by_hash[bytes(value)]: subscription_id
        for subscription_id, *values in rows
        for value in values
        if value is not None and bytes(value) in by_hash
    }


def keep(new: Iterable[tuple[UserSubscribed | AccessCodeRestored, str, datetime]]) -> set[UUID]:
    """Store each new code, with what was paid and when it was issued. Existing codes stay.

    Returns the subscriptions that had no code before.
    """
    rows = [_row(event, code, issued_at) for event, code, issued_at in new]
    # Sorted, because two batches in different orders could deadlock.
    rows.sort(key=lambda row: row["subscription_id"])
    unique = ["subscription_id"]
    return {
        kept for (kept,) in bulk.insert_new(AccessCode, rows, conflict=unique, returning=unique)
    }


def replace(row: AccessCode, code: str, generation: int, issued_at: datetime) -> None:
    """Put the code of a later generation in place of the one in this row, which is locked."""
    ReplacedCode.objects.create(
        subscription_id=row.pk,
        generation=row.generation,
        lookup_hash=row.lookup_hash,
        lookup_hash_next=row.lookup_hash_next,
        replaced_at=timezone.now(),
    )
    row.generation, row.issued_at = generation, issued_at
    row.lookup_hash, row.lookup_hash_next = lookup(code), lookup_next(code)
    row.sealed_code = cipher.seal(code.encode(), CODE_PURPOSE, row.pk)
    row.save(
        update_fields=[
            "generation", "issued_at", "lookup_hash", "lookup_hash_next", "sealed_code"
        ]
    )  # fmt: skip


def _row(
    event: UserSubscribed | AccessCodeRestored, code: str, issued_at: datetime
) -> dict[str, Any]:
    paid = {name: getattr(event, name) for name in PAID if name != "user_id"}
    return paid | {
        **user_columns(event.subscription_id, event.user_id),
        "subscription_id": event.subscription_id,
        "occurred_at": believed(event.occurred_at),
        "lookup_hash": lookup(code),
        "lookup_hash_next": lookup_next(code),
        "sealed_code": cipher.seal(code.encode(), CODE_PURPOSE, event.subscription_id),
        "issued_at": believed(issued_at),
        **(_restored(event) if isinstance(event, AccessCodeRestored) else {}),
    }


def _restored(event: AccessCodeRestored) -> dict[str, int]:
    return {
        "generation": event.generation,
        "uses": event.uses_made,
        "suspension_version": event.suspension_version,
    }


def _bare(typed: str) -> str:
    # NFKC makes full-width characters, as some keyboards type them, into the usual ones.
    usual = typed if typed.isascii() else normalize("NFKC", typed)
    # Whatever stands between the letters and digits does not matter: spaces, line breaks, hyphens,
    # a full stop behind the code, and what nobody sees, such as a zero-width space.
    return "".join(filter(str.isalnum, usual.upper())).translate(_LOOK_ALIKE)


def _in_groups(characters: str) -> str:
    return "-".join((characters[:4], characters[4:8], characters[8:12], characters[12:]))
