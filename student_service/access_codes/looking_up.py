"""Finds a code by its hash, with all that decides about it.

Written by hand, because every question of a platform runs it, and the ORM takes longer to build it
than the database to run it. `admission.with_state` reads the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

from admit_one.database import prepared
from django.db import connection
from django.db.models import BooleanField, DateTimeField, Field

from .models import AccessCode, Revocation, Terms


class State(TypedDict):
    """What decides about a code beside its columns."""

    is_suspended: bool
    checked_at: datetime


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    Checked: TypeAlias = WithAnnotations[AccessCode, State]

CODE = ("subscription_id", "user_id", "plan", "generation", "uses")
TEXTS = {"user_id", "plan"}
"""Without their length, so that a migration that widens one does not change the result's type."""

TERMS = ("version", "valid_from", "valid_until", "uses")

FIND = f"""WITH found AS (
    SELECT {", ".join(f"CAST(code.{n} AS text)" if n in TEXTS else f"code.{n}" for n in CODE)},
           revocation.revoked_at,
           {", ".join(f"terms.{name} AS terms_{name}" for name in TERMS)},
           EXISTS (SELECT 1 FROM access_codes_suspension AS suspension
                   WHERE suspension.subscription_id = code.subscription_id),
           {{now}}
    FROM access_codes_accesscode AS code
    LEFT JOIN access_codes_revocation AS revocation
           ON revocation.subscription_id = code.subscription_id
    LEFT JOIN access_codes_terms AS terms ON terms.subscription_id = code.subscription_id
    WHERE code.lookup_hash IN ({{hashes}}) OR code.lookup_hash_next IN ({{hashes}})
    {{lock}}
)
SELECT EXISTS (SELECT 1 FROM access_codes_replacedcode
               WHERE lookup_hash IN ({{hashes}}) OR lookup_hash_next IN ({{hashes}})),
       found.*
FROM (SELECT 1) AS always LEFT JOIN found ON true"""  # noqa: S608 (our own names)
LOCK = "FOR NO KEY UPDATE OF code"
"""SQLite has one writer at a time."""

NOW = {
    "postgresql": "statement_timestamp()",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
}
"""By the database's clock, as Django's `Now` writes it."""


def find(hashes: Sequence[bytes], *, lock: bool) -> tuple[Checked | None, bool]:
    """The code with one of these hashes, and whether there was one that was replaced.

    With `lock`, nobody else can change the row until the end of the transaction. A code that is
    being replaced at this moment is neither.
    """
    is_postgresql = connection.vendor == "postgresql"
    query = FIND.format(
        hashes=", ".join(["%s"] * len(hashes)),
        now=NOW[connection.vendor],
        lock=LOCK if lock and is_postgresql else "",
    )
    with prepared.cursor() as cursor:
        cursor.execute(query, [*hashes] * 4)
        was_replaced, *values = cursor.fetchone()
    if values[0] is None:
        return None, bool(was_replaced)
    return _row(values if is_postgresql else _as_python(values)), bool(was_replaced)


def _row(values: Sequence[Any]) -> Checked:
    code, (revoked_at, version, *terms, is_suspended, checked_at) = values[:5], values[5:]
    row = cast("Checked", AccessCode(**dict(zip(CODE, code, strict=True))))
    row.is_suspended, row.checked_at = is_suspended, checked_at
    # Known, so that nothing asks the database for it.
    known: dict[str, Any] = row._state.fields_cache  # noqa: SLF001
    known["revocation"] = known["terms"] = None
    if revoked_at is not None:
        known["revocation"] = Revocation(access_code_id=row.pk, revoked_at=revoked_at)
    if version is not None:
        kept = zip(TERMS, (version, *terms), strict=True)
        known["terms"] = Terms(access_code_id=row.pk, **dict(kept))
    return row


def _as_python(values: Sequence[Any]) -> list[Any]:
    """SQLite stores UUIDs and times as text."""
    return [_of(field, value) for field, value in zip(_FIELDS, values, strict=True)]


def _of(field: Field[Any, Any], value: Any) -> Any:
    if isinstance(field, DateTimeField) and value is not None:
        return datetime.fromisoformat(f"{value}+00:00")
    return field.to_python(value)


_FIELDS: list[Field[Any, Any]] = [
    *(cast("Field[Any, Any]", AccessCode._meta.get_field(name)) for name in CODE),  # noqa: SLF001
    DateTimeField(),
    *(cast("Field[Any, Any]", Terms._meta.get_field(name)) for name in TERMS),  # noqa: SLF001
    BooleanField(),
    DateTimeField(),
]
