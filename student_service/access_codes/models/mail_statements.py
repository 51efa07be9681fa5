"""The statements about mails in hand, written by hand: every mail takes them.

A claim is a row and when it was tried: its *token*, by which the row shows that nobody has claimed
it since. It only grows, whatever the clock does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from admit_one.database import prepared
from django.db import connection

from .mail_choices import MailState

Token: TypeAlias = datetime | str
"""As the database returns it: SQLite's times are texts, which are equal only if written alike."""

Claims: TypeAlias = Mapping[UUID, Token | None]
"""Mails by their ids, each with the token of a claim; one without a claim is nobody's."""

MAILS = "access_codes_mailintent"
SQLITES = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', {})"
"""As Django's `Now` writes a time there."""

NOW = {"postgresql": "statement_timestamp()", "sqlite": SQLITES.format("'now'")}
"""By the database's clock."""

AFTER_SECONDS = {
    "postgresql": "statement_timestamp() + %s::float8 * interval '1 second'",
    "sqlite": SQLITES.format("'now', %s || ' seconds'"),
}
NEW_TOKEN = {
    "postgresql": "greatest(statement_timestamp(), tried_at + interval '1 microsecond')",
    "sqlite": "max({}, coalesce({}, ''))".format(
        NOW["sqlite"], SQLITES.format("tried_at, '+0.001 seconds'")
    ),
}
TOKEN = {"postgresql": "tried_at", "sqlite": "CAST(tried_at AS text)"}
IN_HAND = f"state IN ('{MailState.SENDING}', '{MailState.UNKNOWN}')"
"""Also if another worker has taken ours for dead: until it is claimed again, our answer counts."""


def claim(ids: Collection[UUID], lease: float) -> dict[UUID, Token]:
    """Claim these rows, which are locked, for `lease` seconds; their tokens."""
    vendor, given = connection.vendor, list[Any]()
    if vendor == "postgresql":
        found, given = "id = ANY(%b::uuid[])", [list(ids)]
    else:
        found, given = f"id IN ({', '.join(['%s'] * len(ids))})", [pk.hex for pk in ids]
    rows = _run(
        f"UPDATE {MAILS} SET state = '{MailState.SENDING}', attempts = attempts + 1, "  # noqa: S608 (our own names)
        f"tried_at = {NEW_TOKEN[vendor]}, next_attempt_at = {AFTER_SECONDS[vendor]} "
        f"WHERE {found} RETURNING id, {TOKEN[vendor]}",
        [lease, *given],
    )
    return {_id(pk): token for pk, token in rows}


def renew(claims: Claims, lease: float) -> set[UUID]:
    """Renew the leases of these claims; the ids of those that are still ours."""
    due = AFTER_SECONDS[connection.vendor]
    return _update(f"state = '{MailState.SENDING}', next_attempt_at = {due}", [lease], claims)


def finish_as_sent(claims: Claims) -> set[UUID]:
    """Finish these mails without earlier doubts; the ids of those that were still ours."""
    changes = f"state = '{MailState.SENT}', sent_at = {NOW[connection.vendor]}"
    return _update(f"{changes}, next_attempt_at = NULL, last_error = '', doubts = 0", [], claims)


def _update(changes: str, values: Sequence[Any], claims: Claims) -> set[UUID]:
    # Sorted, because two that lock the same rows in different orders could deadlock.
    ids = sorted(claims)
    tokens = [claims[pk] for pk in ids]
    given: list[Any]
    if connection.vendor == "postgresql":
        source = "FROM unnest(%b::uuid[], %b::timestamptz[]) AS given (pk, token) WHERE"
        ours, given = "id = pk AND tried_at = token", [ids, tokens]
    else:
        places = ", ".join(["(%s, %s)"] * len(ids))
        source, ours = "WHERE", f"(id, tried_at) IN (VALUES {places})"
        given = [value for pk, token in zip(ids, tokens, strict=True) for value in (pk.hex, token)]
    rows = _run(
        f"UPDATE {MAILS} SET {changes} {source} {ours} AND {IN_HAND} RETURNING id",  # noqa: S608 (our own names)
        [*values, *given],
    )
    return {_id(pk) for (pk,) in rows}


def _run(statement: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
    with prepared.cursor() as cursor:
        cursor.execute(statement, values)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _id(value: UUID | str) -> UUID:
    """SQLite's are texts."""
    return value if isinstance(value, UUID) else UUID(value)
