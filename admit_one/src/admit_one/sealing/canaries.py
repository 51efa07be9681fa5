"""Whether this process was given the keys that sealed the database.

A canary for each key, a keyed hash of a constant, stands in the database. A process with another
key, or without one that is still needed, is refused at its start: it would write rows that
nobody else can read, and set aside every message as unreadable.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from django.core.management.base import CommandError
from django.db import models

from admit_one.database import outage
from admit_one.database.bulk import insert_new
from admit_one.logs import EventLogger

from . import cipher
from .conf import sealing_keys
from .keyring import NEXT, SEALING, Sealed, keyring, lookup_keys
from .models import KeyCanary

logger = EventLogger(__name__)

CONSTANT = "canary"
FIRST_ANSWER = 6.0
"""Seconds that a start waits for the database, a little longer than a connection may take."""

A_FEW = 10
"""Rows of each column that are tried before the first canaries are written."""

Canaries = dict[tuple[str, str], bytes]
"""By setting and key id."""


class WrongKey(CommandError):
    """The keys in the settings are not those of this database. It ends a command, with 1."""


def canary(key: bytes) -> bytes:
    return cipher.lookup_hash(CONSTANT, key)


def check() -> None:
    """Compare our keys with the database's; one query. Raises `WrongKey` or a database error.

    The canaries of keys that are used for the first time are written down.
    """
    known = _known()
    _compare(known)
    missing = _ours(first=not known).keys() - known.keys()
    if missing:
        if not known:
            _try_newest()
        ours = _ours(first=not known)
        rows = [
            {"setting": setting, "key_id": key_id, "value": ours[setting, key_id]}
            for setting, key_id in sorted(missing)
        ]
        insert_new(KeyCanary, rows, conflict=("setting", "key_id"), returning=("id",))
        # Whoever was faster may have another key by the same name: then theirs stands there now.
        _compare(_known())


def compare() -> None:
    """`check` for a rehearsal: it writes nothing down."""
    _compare(_known())


def guard() -> None:
    """`check` for a process that is to start even if its database is away.

    It goes on in a thread until the database answers, and ends the process if a key is wrong or
    cannot be checked.
    """
    asking = threading.Thread(target=_ask_until_answered, name="keys", daemon=True)
    asking.start()
    asking.join(FIRST_ANSWER)


def _ask_until_answered() -> None:
    try:
        outage.outlast(check, lambda seconds, _: threading.Event().wait(seconds))
    except WrongKey as error:
        logger.critical("wrong_key", "{error}", error=error)
        os._exit(1)
    except Exception:
        # Else only this thread would end, and a process go on that nobody has checked.
        logger.critical(
            "keys_not_compared", "the keys could not be compared with the database's", exc_info=True
        )
        os._exit(1)
    outage.forget_connection()


def _known() -> Canaries:
    rows = KeyCanary.objects.values_list("setting", "key_id", "value")
    return {(setting, key_id): bytes(value) for setting, key_id, value in rows}


def _ours(*, first: bool) -> Canaries:
    """The canaries of our keys: of the one that seals; when there are none yet, of all."""
    listed = sealing_keys()
    sealing_now = listed if first else {cipher.active_key_id(): listed[cipher.active_key_id()]}
    ours = {(SEALING, kid): canary(key) for kid, key in sealing_now.items()}
    if setting := keyring().lookup:
        ours[setting, ""] = canary(lookup_keys(setting)[0])
    return ours


def _compare(known: Canaries) -> None:
    listed = sealing_keys()
    for (setting, kid), value in known.items():
        if setting != SEALING:
            continue
        if kid not in listed:
            raise WrongKey(
                f"{SEALING}: expected also the key {kid!r}, which this database's rows may be "
                "sealed with; `manage.py rotate_keys` re-seals them and reports when it may go"
            )
        if canary(listed[kid]) != value:
            raise WrongKey(
                f"{SEALING}: expected the key {kid!r} that sealed this database's rows, got "
                "another by this name; a new key needs a name of its own"
            )
    if setting := keyring().lookup:
        present, to_come = known.get((setting, "")), known.get((setting, NEXT))
        if present is not None and canary(lookup_keys(setting)[0]) not in {present, to_come}:
            raise WrongKey(
                f"{setting}: expected the key that made this database's hashes, got another; "
                f"a new one goes into {setting}_{NEXT.upper()} first (see `manage.py rotate_keys`)"
            )


def _try_newest() -> None:
    """Before the first canaries are written: what was sealed last must open with our keys."""
    ring = keyring()
    for each in ring.sealed:
        rows: models.QuerySet[Any] = each.model._default_manager.all()  # noqa: SLF001
        newest = rows.filter(**{f"{each.column}__isnull": False}).order_by("-pk")[:A_FEW]
        faults = [_fault(each, row, ring.lookup) for row in newest]
        # One row may be broken; all of them are not.
        if faults and all(faults):
            raise WrongKey(faults[0])


def _fault(each: Sealed, row: Any, lookup: str) -> str:
    """Why this row cannot be from our keys, or nothing."""
    try:
        value = cipher.unseal(getattr(row, each.column), each.purpose)
    except cipher.Unsealable as error:
        return f"{SEALING}: the newest row of {each} does not open: {error}"
    for column, hashed in each.hashes.items():
        if getattr(row, column) not in {None, hashed(value.decode())}:
            return f"{lookup}: expected the key that made the hashes in {each}, got another"
    return ""
