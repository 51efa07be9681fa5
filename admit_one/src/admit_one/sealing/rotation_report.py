"""What `rotate_keys` reports: what it has found and done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import cipher
from .conf import sealing_keys
from .keyring import keyring, lookup_keys, needed_until
from .rotation import Column

UNKNOWN = "unknown"
"""What names no key."""


def lines(columns: Sequence[Column], *, dry_run: bool) -> Iterator[str]:
    """The whole report, a line at a time, for narrow screens too."""
    active = cipher.active_key_id()
    yield f"{active} seals"
    yield ""
    for column in columns:
        counts = [f"{kid or UNKNOWN} {n:,}" for kid, n in sorted(column.by_key.items())]
        yield f"{column.sealed}"
        yield f"  {', '.join(counts) or 'nothing'}"
        if column.hashes:
            yield f"  hashes of another key: {column.hashes:,}"
        for kid, n in sorted(column.unreadable.items()):
            which = repr(kid) if kid else f"({UNKNOWN})"
            yield f"  not to be opened with any key {which} that is listed: {n:,}"
        if not dry_run and column.renewed:
            yield f"  renewed: {column.renewed:,}"
        if column.held:
            yield f"  held by others, left for another run: {column.held.total():,}"
    yield ""
    yield from _old_keys(columns, dry_run=dry_run)
    yield from _lookup(columns, dry_run=dry_run)


def _old_keys(columns: Sequence[Column], *, dry_run: bool) -> Iterator[str]:
    active = cipher.active_key_id()
    for kid in sealing_keys():
        if kid == active:
            continue
        needed = sum(c.by_key[kid] if dry_run else c.left(kid) for c in columns)
        if needed:
            then = "rotate_keys re-seals them" if dry_run else "run rotate_keys again"
            yield f"{kid} is needed: {needed:,} rows are sealed with it; {then}."
            continue
        yield f"{kid} may be taken out of SEALING_KEYS."
        if until := needed_until(kid):
            yield (
                f"  Best after {until:%Y-%m-%d}: until then the inbox compares with it; without"
                " it, another body under a known id is taken for a repetition."
            )


def _lookup(columns: Sequence[Column], *, dry_run: bool) -> Iterator[str]:
    setting = keyring().lookup
    if not setting or lookup_keys(setting)[1] is None:
        return
    hashed = [column for column in columns if column.sealed.hashes]
    done = not any(c.unreadable or c.held or (dry_run and c.hashes) for c in hashed)
    if done:
        yield f"{setting}_NEXT may take over: make it {setting}, take {setting}_NEXT away,"
        yield "restart every process, and run rotate_keys once more."
    else:
        yield f"{setting}_NEXT does not find every row yet: run rotate_keys."
