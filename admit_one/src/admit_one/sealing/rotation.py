"""Re-sealing: every row is brought to the keys in force, a few at a time, while all goes on.

It can be ended and begun again at any time: a row either is as it should be, or it is renewed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction

from admit_one.database.bulk import insert_new, update_from

from . import cipher
from .canaries import canary, check, compare
from .keyring import NEXT, SEALING, Keyring, Sealed, keyring, lookup_keys
from .models import KeyCanary

WINDOW = 500
"""Rows that are looked at together. Those of them that are renewed are locked for milliseconds."""

PASSES = 3
"""A row that somebody else holds is passed by, and looked for again; so often at most."""

Progress = Callable[[Sealed, int], None]
"""Called after each window with the rows looked at so far."""


@dataclass
class Column:
    """What was found in one sealed column."""

    sealed: Sealed
    by_key: Counter[str] = field(default_factory=Counter)
    """Rows by the id of the key that seals them, before anything was renewed."""
    hashes: int = 0
    """Rows whose keyed hashes are not those of the keys in force."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Rows by key id that do not open: left as they are."""
    renewed: int = 0
    held: Counter[str] = field(default_factory=Counter)
    """Rows by key id that somebody else held at each pass."""

    @property
    def stale(self) -> int:
        """Rows to be sealed again."""
        active = cipher.active_key_id()
        return sum(n for kid, n in self.by_key.items() if kid != active) - sum(
            n for kid, n in self.unreadable.items() if kid != active
        )

    def left(self, kid: str) -> int:
        """Rows that need this key after a rotation."""
        return self.unreadable[kid] + self.held[kid]


def survey(progress: Progress) -> list[Column]:
    """Count the rows by their keys, and change nothing. Raises `WrongKey`."""
    compare()
    return [_pass(Column(each), progress, renew=False) for each in keyring().sealed]


def rotate(progress: Progress) -> list[Column]:
    """Renew every row that the keys in force have not made; returns what was found and done.

    When nothing needs a key any more, its canary goes: a start without that key is fine then.
    Raises `WrongKey`, before anything is sealed with a key that no other process has.
    """
    check()
    ring = keyring()
    _announce_nothing(ring)
    columns = [_renewed(each, progress) for each in ring.sealed]
    _finish_canaries(ring, columns)
    return columns


def complete(columns: Sequence[Column]) -> bool:
    """Whether every row that can be read is now as the keys in force would make it."""
    return not any(column.held.total() for column in columns)


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
    """All rows with something sealed, by primary key, in windows that are read without a lock."""
    rows = _rows(each).order_by("pk")
    window = list(rows[:WINDOW])
    while window:
        yield window
        window = list(rows.filter(pk__gt=window[-1]["pk"])[:WINDOW])


def _rows(each: Sealed) -> models.QuerySet[Any, dict[str, Any]]:
    manager = each.model._default_manager  # noqa: SLF001
    names = ("pk", each.column, *each.hashes)
    return manager.filter(**{f"{each.column}__isnull": False}).values(*names)


def _note(column: Column, row: Mapping[str, Any]) -> str | None:
    """Count a row; returns the id of its key if it is to be renewed."""
    each, kid = column.sealed, cipher.key_id(row[column.sealed.column])
    column.by_key[kid] += 1
    try:
        changes = _changes(each, row)
    except cipher.Unsealable:
        column.unreadable[kid] += 1
        return None
    column.hashes += bool(changes.keys() - {each.column})
    return kid if changes else None


def _changes(each: Sealed, row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `row` that the keys in force would make otherwise. Raises `Unsealable`."""
    sealed = row[each.column]
    is_old = cipher.key_id(sealed) != cipher.active_key_id()
    if not is_old and not each.hashes:
        return {}
    value = cipher.unseal(sealed, each.purpose)
    changes: dict[str, Any] = {each.column: cipher.seal(value, each.purpose)} if is_old else {}
    for name, hashed in each.hashes.items():
        if row[name] != (expected := hashed(value.decode())):
            changes[name] = expected
    return changes


def _renew(each: Sealed, keys: Sequence[Any]) -> set[Any]:
    """Renew these rows, without those that somebody else has locked; returns which."""
    with transaction.atomic():
        rows = _rows(each).filter(pk__in=keys).order_by("pk").select_for_update(skip_locked=True)
        key = each.model._meta.pk.name  # noqa: SLF001
        locked = list(rows)
        whole = [
            {key: row["pk"], **{n: row[n] for n in row if n != "pk"}, **_changes(each, row)}
            for row in locked
        ]
        update_from(each.model, whole, key=key)
    return {row["pk"] for row in locked}


def _announce_nothing(ring: Keyring) -> None:
    """Another key to come than the one that was announced: it cannot take over yet.

    Where the one announced has taken over, and no rotation recorded it, its canary takes the place
    of the old key's: it is in force, and if we end here it must not be refused.
    """
    if not ring.lookup:
        return
    present, to_come = lookup_keys(ring.lookup)
    if to_come is None:
        return
    canaries = KeyCanary.objects.filter(setting=ring.lookup)
    announced = canaries.filter(key_id=NEXT).exclude(value=canary(to_come))
    with transaction.atomic():
        if announced.filter(value=canary(present)).exists():
            canaries.filter(key_id="").update(value=canary(present))
        announced.delete()


def _finish_canaries(ring: Keyring, columns: Sequence[Column]) -> None:
    active = cipher.active_key_id()
    for kid in KeyCanary.objects.filter(setting=SEALING).values_list("key_id", flat=True):
        if kid != active and not any(column.left(kid) for column in columns):
            KeyCanary.objects.filter(setting=SEALING, key_id=kid).delete()
    hashed = [column for column in columns if column.sealed.hashes]
    if not ring.lookup or not complete(hashed) or any(c.unreadable for c in hashed):
        return
    present, to_come = lookup_keys(ring.lookup)
    with transaction.atomic():
        KeyCanary.objects.filter(setting=ring.lookup).delete()
        made = {"": present, NEXT: to_come}
        rows = [
            {"setting": ring.lookup, "key_id": kid, "value": canary(key)}
            for kid, key in sorted(made.items())
            if key is not None
        ]
        insert_new(KeyCanary, rows, conflict=("setting", "key_id"), returning=("id",))
