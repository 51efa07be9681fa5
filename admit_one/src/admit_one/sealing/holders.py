"""Which running processes have which keys: `rotate_keys` seals with no key that one of them lacks.

Each process has a row, which it renews once a minute and deletes when it ends. The row of a
process that was killed soon counts for nothing.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import timedelta

from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from admit_one.database import outage

from . import cipher
from .canaries import canary
from .keyring import SEALING, keyring, lookup_keys, next_of, sealing_keys
from .models import KeyHolder

STALE = timedelta(minutes=3)
"""After so long without a renewal, of which there is one a minute, a process counts as ended."""


def this_process(what: str) -> KeyHolder:
    """The row of this process, which is `what`; it is not written yet."""
    return KeyHolder(
        id=uuid7(),
        process=f"{what} (process {os.getpid()} on {socket.gethostname()})"[:255],
        keys={name: key.hex() for name, key in _ours().items()},
        seals_with=cipher.active_key_id(),
    )


def see(holder: KeyHolder) -> None:
    """Write or renew a row, by the database's clock. Raises a database error."""
    if KeyHolder.objects.filter(id=holder.id).update(seen_at=Now()):
        return
    KeyHolder.objects.filter(seen_at__lt=Now() - STALE).delete()
    holder.seen_at = Now()
    holder.save(force_insert=True)


def forget(holder: KeyHolder) -> None:
    """Delete the row of a process that ends, if the database is available."""
    with suppress(*outage.DATABASE_ERRORS):
        KeyHolder.objects.filter(id=holder.id).delete()


def without_our_keys() -> list[str]:
    """Each running process that cannot read what this one is about to write, and why.

    What this one seals must be readable there, and both must agree on the look-up keys.
    """
    ours = {name: key.hex() for name, key in _ours().items()}
    setting = keyring().lookup
    names = [_name(cipher.active_key_id()), *([setting, next_of(setting)] if setting else [])]
    return [
        f"{holder.process}: another {name}, or none"
        for holder in _running()
        for name in names
        if holder.keys.get(name) != ours.get(name)
    ]


def sealing_with(kid: str) -> list[str]:
    """Each running process that still seals with this key."""
    return [holder.process for holder in _running() if holder.seals_with == kid]


def _running() -> list[KeyHolder]:
    return list(KeyHolder.objects.filter(seen_at__gte=Now() - STALE).order_by("process"))


def _ours() -> dict[str, bytes]:
    """The canary of each of our keys, by name."""
    keys = {_name(kid): key for kid, key in sealing_keys().items()}
    if setting := keyring().lookup:
        present, to_come = lookup_keys(setting)
        keys |= {setting: present} | ({next_of(setting): to_come} if to_come else {})
    return {name: canary(key) for name, key in keys.items()}


def _name(kid: str) -> str:
    return f"{SEALING} {kid}"
