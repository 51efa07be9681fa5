"""Which columns are sealed, and which keys made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import models

from admit_one.wiring import wired

SEALING = "SEALING_KEYS"
NEXT = "next"
"""The key id of a look-up key under which every row can be found, and which may take over."""

NeededUntil = Callable[[str], datetime | None]
"""Until when a key is useful beside the sealed columns, by key id; None if it is not."""


@dataclass(frozen=True)
class Sealed:
    """A sealed column, and the keyed hashes of the same value in other columns of its row."""

    model: type[models.Model]
    column: str
    purpose: str
    hashes: Mapping[str, Callable[[str], bytes | None]] = field(default_factory=dict)
    """By column, what makes the hash."""

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}"  # noqa: SLF001


@dataclass(frozen=True)
class Keyring:
    """What a service seals by itself; `lookup` names its setting with the key of keyed hashes.

    A setting of the same name with `_NEXT` behind it holds the key that is to take over.
    """

    sealed: tuple[Sealed, ...] = ()
    lookup: str = ""


@dataclass
class _Registered:
    """What other apps of the machinery seal."""

    sealed: list[Sealed] = field(default_factory=list)
    needed_until: list[NeededUntil] = field(default_factory=list)


_registered = _Registered()


def register(*sealed: Sealed, needed_until: NeededUntil) -> None:
    """Add an app's sealed columns, once, when Django is ready."""
    _registered.sealed.extend(sealed)
    _registered.needed_until.append(needed_until)


def keyring() -> Keyring:
    """All sealed columns of this process: the machinery's, and the service's own."""
    own: Keyring = wired("KEYRING", Keyring())
    return Keyring((*_registered.sealed, *own.sealed), own.lookup)


def needed_until(kid: str) -> datetime | None:
    """Until when the key `kid` is useful although no column is sealed with it any more."""
    moments = (needed(kid) for needed in _registered.needed_until)
    return max((moment for moment in moments if moment), default=None)


def lookup_keys(setting: str) -> tuple[bytes, bytes | None]:
    """The key of keyed hashes, and the one that is to take over."""
    return getattr(settings, setting), getattr(settings, f"{setting}_{NEXT.upper()}", None)
