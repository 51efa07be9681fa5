"""Checks that this process has the keys that sealed the database.

The database has a canary for each key: a keyed hash of a constant. A process with a wrong key, or
without one that is still needed, does not start: it would write rows that no other process can
read, and set aside every message as unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from django.core.management.base import CommandError
from django.db import models

from . import cipher
from .derived import derived
from .keyring import (
    NEXT,
    SEALING,
    Sealed,
    keyring,
    lookup_keys,
    next_of,
    other_keys,
    sealing_keys,
)
from .models import KeyCanary

FIRST_CONSTANT = "canary"
"""Its look-up hash was the canary in the first format of sealed values."""
SAMPLE = 10
"""Rows of each column that must unseal before the first canaries are written."""

Canaries = dict[tuple[str, str], bytes]
"""By setting and key id."""


class WrongKey(CommandError):
    """The keys in the settings are not those of this database. It ends a command with code 1."""


def canary(key: bytes) -> bytes:
    return derived(key).canary


def canaries_of(key: bytes) -> set[bytes]:
    """The canary of a key, and the one that it had in the first format."""
    return {canary(key), cipher.lookup_hash(FIRST_CONSTANT, key)}


def check() -> None:
    """Compare our keys with the database's by one query. Raises `WrongKey` or a database error.

    It stores canaries for keys that are used for the first time.
    """
    known = _known()
    _compare(known)
    ours = _ours(first=not known)
    if ours.keys() - known.keys():
        if not known:
            _try_newest()
        write(ours)
        # Another process may have been faster, with another key of the same id.
        _compare(_known())


def write(ours: Canaries) -> None:
    """Store canaries, except where there is one already."""
    KeyCanary.objects.bulk_create(
        (
            KeyCanary(setting=setting, key_id=key_id, value=value)
            for (setting, key_id), value in sorted(ours.items())
        ),
        ignore_conflicts=True,
    )


def compare() -> None:
    """Like `check`, but stores nothing: for a rehearsal, and while a process runs."""
    _compare(_known())


def _known() -> Canaries:
    rows = KeyCanary.objects.values_list("setting", "key_id", "value")
    return {(setting, key_id): bytes(value) for setting, key_id, value in rows}


def _ours(*, first: bool) -> Canaries:
    """The canaries of the key that seals and of the look-up key; with `first`, of all keys."""
    listed = sealing_keys()
    sealing_now = listed if first else {cipher.active_key_id(): listed[cipher.active_key_id()]}
    ours = {(SEALING, kid): canary(key) for kid, key in sealing_now.items()}
    for other in other_keys:
        keys = other.listed()
        in_use = keys if first else dict(islice(keys.items(), 1))
        ours |= {(other.setting, kid): canary(key) for kid, key in in_use.items()}
    if setting := keyring().lookup:
        ours[setting, ""] = canary(lookup_keys(setting)[0])
    return ours


def _compare(known: Canaries) -> None:
    rows = "this database's rows"
    _compare_listed(
        SEALING, sealing_keys(), known, f"{rows} may be sealed with", f"that sealed {rows}"
    )
    for other in other_keys:
        needs = "messages may need that are on their way or set aside"
        _compare_listed(other.setting, other.listed(), known, needs, "that was used here before")
    if setting := keyring().lookup:
        present, to_come = known.get((setting, "")), known.get((setting, NEXT))
        if present is not None and canaries_of(lookup_keys(setting)[0]).isdisjoint(
            {present, to_come}
        ):
            raise WrongKey(
                f"{setting}: expected the key that made this database's hashes, got another; "
                f"a new one goes into {next_of(setting)} first (see `manage.py rotate_keys`)"
            )


def _compare_listed(
    setting: str, listed: Mapping[str, bytes], known: Canaries, needed: str, used: str
) -> None:
    """Raise `WrongKey` unless `listed` has each key of `setting` that the database knows."""
    for (of, kid), value in known.items():
        if of != setting:
            continue
        if kid not in listed:
            raise WrongKey(
                f"{setting}: expected also the key {kid!r}, which {needed}; list it until "
                "`manage.py rotate_keys` prints that it may be removed"
            )
        if value not in canaries_of(listed[kid]):
            raise WrongKey(
                f"{setting}: expected the key {kid!r} {used}, got another by this name; give a "
                "new key a new name"
            )


def _try_newest() -> None:
    """Check, before the first canaries are stored, that the newest rows open with our keys."""
    ring = keyring()
    for each in ring.sealed:
        rows: models.QuerySet[Any] = each.model._default_manager.all()  # noqa: SLF001
        newest = rows.filter(**{f"{each.column}__isnull": False}).order_by("-pk")[:SAMPLE]
        faults = [_fault(each, row, ring.lookup) for row in newest]
        # A single row may be broken; all of them means a wrong key.
        if faults and all(faults):
            raise WrongKey(faults[0])


def _fault(each: Sealed, row: Any, lookup: str) -> str:
    """Why this row cannot be from our keys; empty if it can."""
    try:
        value = cipher.unseal(getattr(row, each.column), each.purpose, getattr(row, each.row))
    except cipher.Unsealable as error:
        return f"{SEALING}: the newest row of {each} cannot be unsealed: {error}"
    for column, hashed in each.hashes.items():
        if getattr(row, column) not in {None, hashed(value.decode())}:
            return f"{lookup}: expected the key that made the hashes in {each}, got another"
    return ""
