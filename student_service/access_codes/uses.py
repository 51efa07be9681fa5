"""Uses of codes as rows.

Written by hand, like `looking_up`: every redemption runs these statements.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from admit_one.database import bulk, prepared, together
from django.db import connection
from uuid_utils.compat import uuid7

from .models import AccessCode, Redemption

IS_COUNTED = """SELECT 1 FROM access_codes_redemption
    WHERE subscription_id = %s AND client = %s AND reference = %s"""
INSERT = """INSERT INTO access_codes_redemption
    (id, subscription_id, generation, client, reference, redeemed_at)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (subscription_id, client, reference) DO NOTHING RETURNING id"""
COUNT = "UPDATE access_codes_accesscode SET uses = uses + 1 WHERE subscription_id = "
BOTH = f"WITH new AS ({INSERT}) {COUNT}(SELECT %s::uuid FROM new) RETURNING 1"  # noqa: S608 (our own words)
"""In one statement, which SQLite does not have: each costs a round trip."""
IF_UNCHANGED = f"""{COUNT}(
    SELECT subscription_id FROM access_codes_accesscode AS code
    WHERE subscription_id = %s AND generation = %s AND uses = %s AND lookup_hash IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM access_codes_revocation AS revocation
                      WHERE revocation.subscription_id = code.subscription_id)
      AND NOT EXISTS (SELECT 1 FROM access_codes_suspension AS suspension
                      WHERE suspension.subscription_id = code.subscription_id)
      AND coalesce((SELECT version FROM access_codes_terms AS terms
                    WHERE terms.subscription_id = code.subscription_id), 0) = %s
    {{lock}})"""  # noqa: S608 (our own)
LOCK = "FOR NO KEY UPDATE OF code SKIP LOCKED"

NO_CODE = UUID(int=0)


def is_counted(row: AccessCode | None, client: str, reference: str) -> bool:
    """Whether the client has redeemed the code with this reference; false without a code."""
    code = NO_CODE if row is None else row.pk
    with prepared.cursor(begin=False) as cursor:
        cursor.execute(IS_COUNTED, [_uuid(code), client, reference])
        return cursor.fetchone() is not None


def count(row: AccessCode, client: str, reference: str | None, moment: datetime) -> bool:
    """Count one use more; false if the client has redeemed the code with this reference before.

    The row is locked, so that its count is the latest.
    """
    code, at = _uuid(row.pk), connection.ops.adapt_datetimefield_value(moment)
    use = [_uuid(uuid7()), code, row.generation, client, reference, at]
    with prepared.cursor() as cursor:
        is_postgresql = connection.vendor == "postgresql"
        cursor.execute(*((BOTH, [*use, code]) if is_postgresql else (INSERT, use)))
        if cursor.fetchone() is None:
            return False
        if not is_postgresql:
            cursor.execute(f"{COUNT}%s", [code])
    row.uses += 1
    return True


def count_if_unchanged(
    row: AccessCode, client: str, reference: str | None, moment: datetime
) -> bool:
    """Count one use more, with what else this `together.transaction` writes.

    The row is not locked before. The transaction raises `Overtaken` at its end if anything that
    decides about the code has changed or somebody holds a lock on it, and `IntegrityError` if the
    client has redeemed the code with this reference before.
    """
    change = IF_UNCHANGED.format(lock=LOCK if connection.vendor == "postgresql" else "")
    version = row.terms.version if row.has_terms else 0
    together.only_if(change, [_uuid(row.pk), row.generation, row.uses, version])
    use = {"id": uuid7(), "access_code": row.pk, "generation": row.generation}
    use |= {"client": client, "reference": reference, "redeemed_at": moment}
    bulk.insert(Redemption, [use])
    row.uses += 1
    return True


def _uuid(value: UUID) -> Any:
    return value if connection.features.has_native_uuid_field else value.hex
