"""`manage.py rotate_keys`: reseal everything with the keys in force."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from typing import Any

from admit_one.acts.models import Act
from admit_one.processes.service_command import ServiceCommand
from admit_one.sealing import holders, rotation
from admit_one.sealing.cipher import active_key_id
from admit_one.sealing.keyring import (
    Sealed,
    keyring,
    lookup_keys,
    needed_until,
    other_keys,
    sealing_keys,
)
from admit_one.sealing.rotation import Column

EXAMPLES = """
Put a new key into SEALING_KEYS in two steps: first behind the old one, and, once every process
of the service has been restarted with it, in front. Then:

  manage.py rotate_keys --dry-run     counts the rows by key, and changes nothing
  manage.py rotate_keys               reseals them, and prints which key may be removed

You can stop it and start it again, and the service keeps working meanwhile.
It refuses while a running process of the service has other keys.
Exit code: 0 if everything is done, 1 if something is left.
"""

UNKNOWN = "unknown"
"""Shown for rows without a valid key id."""


class Command(ServiceCommand):
    help = "Reseal everything with the first of SEALING_KEYS, in small batches."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument(
            "--dry-run", action="store_true", help="count the rows by key, and change nothing"
        )

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        columns = rotation.survey(self._progress) if dry_run else self._rotate()
        self.overwrite("")
        for line in _report(columns, dry_run=dry_run):
            self.stdout.write(line)
        if _left(columns):
            sys.exit(1)

    def _rotate(self) -> list[Column]:
        """Rotate; records who does it before the first row is renewed."""
        rotation.prepare()
        act = Act.draft("keys", "rotate", target=active_key_id())
        act.save()
        columns = rotation.rotate(self._progress)
        act.result = "rows left" if _left(columns) else "done"
        act.save(update_fields=["result"])
        return columns

    def _progress(self, sealed: Sealed, rows: int) -> None:
        self.overwrite(f"{sealed}  {rows:,} rows")


def _left(columns: Sequence[Column]) -> bool:
    rows = any(column.unreadable or column.held for column in columns)
    return rows or any(holders.sealing_with(kid) for kid in _old_keys())


def _report(columns: Sequence[Column], *, dry_run: bool) -> Iterator[str]:
    """What was found and done, in lines for narrow terminals, too."""
    active = active_key_id()
    yield f"{active} seals"
    yield ""
    for column in columns:
        counts = [f"{kid or UNKNOWN} {n:,}" for kid, n in sorted(column.by_key.items())]
        yield f"{column.sealed}"
        yield f"  {', '.join(counts) or 'nothing'}"
        if column.first_format:
            yield f"  of the first format: {column.first_format:,}"
        if column.hashes:
            yield f"  hashes of another key: {column.hashes:,}"
        for kid, n in sorted(column.unreadable.items()):
            which = repr(kid) if kid else f"({UNKNOWN})"
            yield f"  not unsealed by any listed key {which}: {n:,}"
        if not dry_run and column.renewed:
            yield f"  renewed: {column.renewed:,}"
        if column.held:
            yield f"  locked by others, left for the next run: {column.held.total():,}"
    yield ""
    yield from _about_old_keys(columns, dry_run=dry_run)
    yield from _lookup(columns, dry_run=dry_run)
    yield from _other_keys()


def _old_keys() -> list[str]:
    return [kid for kid in sealing_keys() if kid != active_key_id()]


def _about_old_keys(columns: Sequence[Column], *, dry_run: bool) -> Iterator[str]:
    for kid in _old_keys():
        if processes := holders.sealing_with(kid):
            yield f"{kid} is needed, because running processes still seal with it:"
            yield from (f"  {process}" for process in processes)
            yield f"  Restart them with {active_key_id()} in front, and run rotate_keys again."
            continue
        needed = sum(c.by_key[kid] if dry_run else c.left(kid) for c in columns)
        if needed:
            then = "rotate_keys reseals them" if dry_run else "run rotate_keys again"
            yield f"{kid} is needed: {needed:,} rows are sealed with it; {then}."
            continue
        yield f"{kid} may be removed from SEALING_KEYS."
        if until := needed_until(kid):
            yield (
                f"  Best after {until:%Y-%m-%d}: until then the inbox needs it to notice another"
                " body under a known id, which otherwise passes for a duplicate."
            )


def _lookup(columns: Sequence[Column], *, dry_run: bool) -> Iterator[str]:
    setting = keyring().lookup
    if not setting or lookup_keys(setting)[1] is None:
        return
    hashed = [column for column in columns if column.sealed.hashes]
    done = not any(c.unreadable or c.held or (dry_run and c.hashes) for c in hashed)
    if done:
        yield f"{setting}_NEXT may take over: make it {setting}, remove {setting}_NEXT,"
        yield "restart every process, and run rotate_keys once more."
    else:
        yield f"{setting}_NEXT does not find every row yet: run rotate_keys."


def _other_keys() -> Iterator[str]:
    """Which old keys of other settings may go: nothing here is renewed with the new ones."""
    for other in other_keys:
        for kid in list(other.listed())[1:]:
            if needed := other.needs(kid):
                yield f"{kid} is needed in {other.setting}: {needed:,} set-aside messages can only"
                yield "be read with it; replay or discard them (manage.py set_aside)."
            else:
                yield f"{kid} may be removed from {other.setting}, once every process that sends"
                yield "to this service uses a newer one, and its queue has been empty since."
