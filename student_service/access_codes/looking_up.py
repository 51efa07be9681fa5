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

CODE = (
    *("subscription_id", "test", "sealed_user_id", "user_hash", "user_hash_next"),
    *("plan", "generation", "uses"),
)
TEXTS = {"plan"}
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
)
SELECT EXISTS (SELECT 1 FROM access_codes_replacedcode
               WHERE lookup_hash IN ({{hashes}}) OR lookup_hash_next IN ({{hashes}})),
       found.*
FROM (SELECT 1) AS always LEFT JOIN found ON true"""  # noqa: S608 (our own names)
LOCK = """SELECT FROM access_codes_accesscode
    WHERE lookup_hash IN ({hashes}) OR lookup_hash_next IN ({hashes}) FOR NO KEY UPDATE"""

NOW = {
    "postgresql": "statement_timestamp()",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
}
"""By the database's clock, as Django's `Now` writes it."""


def find(hashes: Sequence[bytes]) -> tuple[Checked | None, bool]:
    """The code with one of these hashes, and whether there was one that was replaced."""
    query = FIND.format(hashes=_places(hashes), now=NOW[connection.vendor])
    with prepared.cursor(begin=False) as cursor:
        cursor.execute(query, [*hashes] * 4)
        was_replaced, *values = cursor.fetchone()
    if values[0] is None:
        return None, bool(was_replaced)
    is_postgresql = connection.vendor == "postgresql"
    return _row(values if is_postgresql else _as_python(values)), bool(was_replaced)


def lock(hashes: Sequence[bytes]) -> None:
    """Let nobody else change the code with one of these hashes until the transaction ends.

    Before `find`, because a statement that waits for a row sees other rows as they were before.
    """
    if connection.vendor == "postgresql":  # SQLite has one writer at a time
        with prepared.cursor() as cursor:
            cursor.execute(LOCK.format(hashes=_places(hashes)), [*hashes] * 2)


def _places(hashes: Sequence[bytes]) -> str:
    return ", ".join(["%s"] * len(hashes))


def _row(values: Sequence[Any]) -> Checked:
    code, state = values[: len(CODE)], values[len(CODE) :]
    revoked_at, version, *terms, is_suspended, checked_at = state
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
