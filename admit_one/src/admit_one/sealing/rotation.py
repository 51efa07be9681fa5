"""Reseals all rows with the current keys, in small batches, while the service keeps working.

It can be stopped and repeated at any time: it renews only the rows that need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import CommandError
from django.db import models, transaction

from admit_one.database.bulk import update_from

from . import cipher, holders
from .canaries import canaries_of, canary, check, compare, write
from .keyring import (
    NEXT,
    SEALING,
    Keyring,
    OtherKeys,
    Sealed,
    keyring,
    lookup_keys,
    other_keys,
    sealing_keys,
)
from .models import KeyCanary

WINDOW = 500
"""Rows that are read together. Those to renew are locked for milliseconds."""

PASSES = 3
"""Passes over a column, at most: each skips rows that are locked by others."""

Progress = Callable[[Sealed, int], None]
"""Called after each window with the rows looked at so far."""


@dataclass
class Column:
    """What a pass found and did in one sealed column."""

    sealed: Sealed
    by_key: Counter[str] = field(default_factory=Counter)
    """Rows by the id of the key that seals them, before any was renewed."""
    first_format: int = 0
    """Readable rows of the first format, before any was renewed."""
    hashes: int = 0
    """Rows whose keyed hashes are not those of the keys in force."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Rows by key id that cannot be unsealed, and stay as they are."""
    renewed: int = 0
    held: Counter[str] = field(default_factory=Counter)
    """Rows by key id that were locked by others in every pass."""

    def left(self, kid: str) -> int:
        """How many rows still need this key after a rotation."""
        return self.unreadable[kid] + self.held[kid]


class KeysDiffer(CommandError):
    """A running process cannot read what a rotation would write. It ends a command with code 1."""


def prepare() -> None:
    """Raises `WrongKey`, or `KeysDiffer` before anything is sealed with a key that others lack."""
    require_our_keys()
    check()


def require_our_keys() -> None:
    """Raises `KeysDiffer` if a running process does not have the keys that are in force here."""
    if lacking := holders.without_our_keys():
        raise KeysDiffer(
            "expected the keys of this command in every running process of the service, got\n  "
            + "\n  ".join(lacking)
            + "\nRestart them with these keys first. A process that was killed counts as running "
            f"for {holders.STALE.seconds // 60} minutes."
        )


def survey(progress: Progress) -> list[Column]:
    """Count the rows by their keys, and change nothing. Raises `WrongKey` or `KeysDiffer`."""
    require_our_keys()
    compare()
    return [_pass(Column(each), progress, renew=False) for each in keyring().sealed]


def rotate(progress: Progress) -> list[Column]:
    """Renew every row that the keys in force have not made; returns what was found and done.

    Deletes the canaries of keys that nothing needs any more, so that processes start without them.
    Raises as `prepare` does.
    """
    prepare()
    ring = keyring()
    _withdraw_replaced_next_key(ring)
    columns = [_renewed(each, progress) for each in ring.sealed]
    _finish_canaries(ring, columns)
    return columns


def _renewed(each: Sealed, progress: Progress) -> Column:
    column = _pass(Column(each), progress, renew=True)
    for _ in range(PASSES - 1):
        if not column.held:
            break
        again = _pass(Column(each), progress, renew=True)
        column.renewed += again.renewed
        column.held = again.held
    return column


def _pass(column: Column, progress: Progress, *, renew: bool) -> Column:
    looked_at = 0
    for rows in _windows(column.sealed):
        stale = {row["pk"]: kid for row in rows if (kid := _note(column, row)) is not None}
        if renew and stale:
            renewed = _renew(column.sealed, list(stale))
            column.renewed += len(renewed)
            column.held += Counter(kid for pk, kid in stale.items() if pk not in renewed)
        looked_at += len(rows)
        progress(column.sealed, looked_at)
    return column


def _windows(each: Sealed) -> Iterator[list[dict[str, Any]]]:
    """All rows with a sealed value, by primary key, in windows that are read without a lock."""
    rows = _rows(each).order_by("pk")
    window = list(rows[:WINDOW])
    while window:
        yield window
        window = list(rows.filter(pk__gt=window[-1]["pk"])[:WINDOW])


def _rows(each: Sealed) -> models.QuerySet[Any, dict[str, Any]]:
    manager = each.model._default_manager  # noqa: SLF001
    names = dict.fromkeys(("pk", each.row, each.column, *each.hashes))
    return manager.filter(**{f"{each.column}__isnull": False}).values(*names)


def _note(column: Column, row: Mapping[str, Any]) -> str | None:
    """Count a row; returns the id of its key if it must be renewed."""
    each, kid = column.sealed, cipher.key_id(row[column.sealed.column])
    column.by_key[kid] += 1
    try:
        changes = _changes(each, row)
    except cipher.Unsealable:
        column.unreadable[kid] += 1
        return None
    column.first_format += cipher.is_first_format(row[each.column])
    column.hashes += bool(changes.keys() - {each.column})
    return kid if changes else None


def _changes(each: Sealed, row: Mapping[str, Any]) -> dict[str, Any]:
    """The new values of fields that were made with old keys. Raises `Unsealable`."""
    sealed, row_id = row[each.column], row[each.row]
    is_old = cipher.key_id(sealed) != cipher.active_key_id() or cipher.is_first_format(sealed)
    if not is_old and not each.hashes:
        return {}
    value = cipher.unseal(sealed, each.purpose, row_id)
    changes: dict[str, Any] = {}
    if is_old:
        changes[each.column] = cipher.seal(value, each.purpose, row_id)
    for name, hashed in each.hashes.items():
        if row[name] != (expected := hashed(value.decode())):
            changes[name] = expected
    return changes


def _renew(each: Sealed, keys: Sequence[Any]) -> set[Any]:
    """Renew these rows, except those that are locked by others; returns the keys of the renewed."""
    with transaction.atomic():
        rows = _rows(each).filter(pk__in=keys).order_by("pk").select_for_update(skip_locked=True)
        key = each.model._meta.pk.name  # noqa: SLF001
        locked = list(rows)
        names = (each.column, *each.hashes)
        whole = [
            {key: row["pk"], **{n: row[n] for n in names}, **_changes(each, row)} for row in locked
        ]
        update_from(each.model, whole, key=key)
    return {row["pk"] for row in locked}


def _withdraw_replaced_next_key(ring: Keyring) -> None:
    """Delete the canary of a next look-up key that the settings have replaced by another.

    If it has become the present key since the last rotation, its canary first replaces the old
    key's: it is in force, and must not be refused if this process ends now.
    """
    if not ring.lookup:
        return
    present, to_come = lookup_keys(ring.lookup)
    if to_come is None:
        return
    canaries = KeyCanary.objects.filter(setting=ring.lookup)
    announced = canaries.filter(key_id=NEXT).exclude(value__in=canaries_of(to_come))
    with transaction.atomic():
        if announced.filter(value__in=canaries_of(present)).exists():
            canaries.filter(key_id="").update(value=canary(present))
        announced.delete()


def is_needed(kid: str, columns: Sequence[Column]) -> bool:
    """Whether rows still need this key after a rotation, or will: a process seals with it."""
    return any(column.left(kid) for column in columns) or bool(holders.sealing_with(kid))


def _finish_canaries(ring: Keyring, columns: Sequence[Column]) -> None:
    active = cipher.active_key_id()
    KeyCanary.objects.filter(setting=SEALING, key_id=active).update(
        value=canary(sealing_keys()[active])  # it may be of the first format
    )
    for kid in KeyCanary.objects.filter(setting=SEALING).values_list("key_id", flat=True):
        if kid != active and not is_needed(kid, columns):
            KeyCanary.objects.filter(setting=SEALING, key_id=kid).delete()
    for other in other_keys:
        _forget_unneeded(other)
    hashed = [column for column in columns if column.sealed.hashes]
    if not ring.lookup or any(c.held or c.unreadable for c in hashed):
        return
    present, to_come = lookup_keys(ring.lookup)
    with transaction.atomic():
        KeyCanary.objects.filter(setting=ring.lookup).delete()
        made = {"": present, NEXT: to_come}
        write({(ring.lookup, kid): canary(key) for kid, key in made.items() if key is not None})


def _forget_unneeded(other: OtherKeys) -> None:
    in_use = next(iter(other.listed()), None)
    canaries = KeyCanary.objects.filter(setting=other.setting).exclude(key_id=in_use or "")
    for kid in canaries.values_list("key_id", flat=True):
        if not other.needs(kid):
            canaries.filter(key_id=kid).delete()
