"""The keys (`settings.SEALING_KEYS`), and the columns that they seal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from admit_one.wiring import wired

SEALING = "SEALING_KEYS"
BYTES = 32
"""The length of a key of AES-256."""
LONGEST_KEY_ID = 16
"""Bytes; letters or digits."""
NEXT = "next"
"""The key id of the next look-up key, in the canary that shows that every row has its hash."""

NeededUntil = Callable[[str], datetime | None]
"""Until when something other than a sealed column needs the key with this id, or None."""


@dataclass(frozen=True)
class Sealed:
    """A sealed column, and the keyed hashes of the same value in other columns of its row."""

    model: type[models.Model]
    column: str
    purpose: str
    hashes: Mapping[str, Callable[[str], bytes | None]] = field(default_factory=dict)
    """The function that makes the hash, by column."""
    row: str = "pk"
    """The field whose value is sealed with it: it must be known before the row is written, and
    stay the same. Not a primary key that the database counts."""

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}"  # noqa: SLF001


@dataclass(frozen=True)
class Keyring:
    """The columns that a service seals; `lookup` names its setting with the look-up key.

    The setting of that name with `_NEXT` appended holds the next look-up key.
    """

    sealed: tuple[Sealed, ...] = ()
    lookup: str = ""


@dataclass(frozen=True)
class OtherKeys:
    """Keys that seal no column of ours; the database has canaries of them, too."""

    setting: str
    listed: Callable[[], Mapping[str, bytes]]
    """The keys in force by id, the first one in use."""
    needs: Callable[[str], int]
    """How many rows can be read only with the key of this id."""


library_seals: list[Sealed] = []
"""What the library's apps seal: each adds its own, once Django is ready."""

library_needs: list[NeededUntil] = []
"""Their part of `needed_until`."""

other_keys: list[OtherKeys] = []
"""Theirs, which `rotate_keys` reports on."""


def sealing_keys() -> Mapping[str, bytes]:
    """The keys in force by key id: the first one seals, all of them unseal.

    With DEBUG and no keys, one is derived from SECRET_KEY; DEBUG at the start counts, because
    Django's test runner turns it off later. Raises `ImproperlyConfigured` if there is none.
    """
    given: Mapping[str, bytes] = getattr(settings, "SEALING_KEYS", None) or {}
    if given:
        return given
    if settings.DEBUG or apps.get_app_config("sealing").debug:  # type: ignore[attr-defined]
        return _debug_keys(settings.SECRET_KEY)
    raise ImproperlyConfigured(
        "SEALING_KEYS: expected {key id: 32 random bytes}, got none "
        "(with DEBUG = True one is derived from SECRET_KEY)"
    )


@lru_cache(maxsize=1)
def _debug_keys(secret: str) -> Mapping[str, bytes]:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"admit-one sealing, DEBUG only")
    return {"debug": derive.derive(secret.encode())}


@register("sealing")
def there_is_a_key(**_: Any) -> list[CheckMessage]:
    try:
        keys = sealing_keys()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="sealing.E001")]
    if not isinstance(keys, Mapping) or not all(map(_is_key, keys.values())):
        expected = f"{{key id: {BYTES} random bytes}}"
        return [Error(f"SEALING_KEYS: expected {expected}, got another form", id="sealing.E002")]
    if not all(map(is_key_id, keys)):
        expected = f"key ids of 1 to {LONGEST_KEY_ID} letters or digits"
        return [Error(f"SEALING_KEYS: expected {expected}, got another", id="sealing.E003")]
    return []


def is_key_id(kid: object) -> bool:
    """Whether what is sealed under this name can be unsealed again."""
    return isinstance(kid, str) and kid.isalnum() and len(kid.encode()) <= LONGEST_KEY_ID


def _is_key(key: object) -> bool:
    return isinstance(key, bytes) and len(key) == BYTES


def keyring() -> Keyring:
    """All sealed columns of this process: the library's, and the service's own."""
    own: Keyring = wired("KEYRING", Keyring())
    return Keyring((*library_seals, *own.sealed), own.lookup)


@lru_cache(maxsize=1)
def sealed_purposes() -> frozenset[str]:
    """The purposes that `rotate_keys` knows, the only ones to seal for."""
    return frozenset(each.purpose for each in keyring().sealed)


def needed_until(kid: str) -> datetime | None:
    """Until when the key `kid` is needed although no column is sealed with it, or None."""
    moments = (needed(kid) for needed in library_needs)
    return max((moment for moment in moments if moment), default=None)


def lookup_keys(setting: str) -> tuple[bytes, bytes | None]:
    """The look-up key, and the next one, if there is one."""
    return getattr(settings, setting), getattr(settings, next_of(setting), None)


def next_of(setting: str) -> str:
    """The setting with the next look-up key."""
    return f"{setting}_{NEXT.upper()}"
