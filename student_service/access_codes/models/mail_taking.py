"""Finds the mails to send next, with all that decides about each, and locks them.

Written by hand, because every mail takes it, and the ORM takes longer to build it than the database
to run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from admit_one.database import prepared
from admit_one.database.columns import columns_of
from django.db import DEFAULT_DB_ALIAS, connection

from .access_code import AccessCode
from .admission import Revocation
from .mail_statements import MAILS, NOW, SQLITES

if TYPE_CHECKING:
    from .mail_intent import MailIntent

# In the order of the models' fields, as `from_db` needs them.
MAIL = (
    *("id", "access_code_id", "kind", "valid_until", "message_id", "recipient", "recipient_hash"),
    *("state", "attempts", "created_at", "doubts", "tried_at", "last_error"),
)
CODE = ("subscription_id", "test", "language", "plan", "sealed_code")
TEXTS = {"kind", "message_id", "state", "last_error", "language", "plan"}
"""Without their length, so that a migration that widens one does not change the result's type."""

DAY_AGO = {
    "postgresql": "statement_timestamp() - interval '1 day'",
    "sqlite": SQLITES.format("'now', '-1 day'"),
}
LOCK = {"postgresql": "FOR UPDATE OF mail SKIP LOCKED", "sqlite": ""}
"""SQLite has one writer at a time."""


def take(model: type[MailIntent], most: int, cap: int) -> Sequence[MailIntent]:
    """See `MailIntentQuerySet.take`."""
    with prepared.cursor() as cursor:
        cursor.execute(_statement(connection.vendor, most, cap), [])
        rows = cursor.fetchall()
    return [_mail(model, row) for row in rows]


@cache
def _statement(vendor: str, most: int, cap: int) -> str:
    """The numbers stand in it, so that a plan that is kept fits them."""
    return f"""SELECT {_listed("mail", MAIL)}, {_listed("code", CODE)}, revocation.revoked_at,
        EXISTS (SELECT 1 FROM {MAILS} AS other
                WHERE other.recipient_hash = mail.recipient_hash AND other.id <> mail.id
                  AND other.tried_at > {DAY_AGO[vendor]}
                  AND other.state IN ('sent', 'sending', 'unknown')
                LIMIT 1 OFFSET {cap - 1}),
        (SELECT CAST(stop.reported AS text) FROM {MAILS} AS stop
         WHERE stop.recipient_hash = mail.recipient_hash
           AND stop.reported IN ('bounced', 'complained') AND stop.lifted_at IS NULL LIMIT 1)
    FROM {MAILS} AS mail
    JOIN access_codes_accesscode AS code ON code.subscription_id = mail.access_code_id
    LEFT JOIN access_codes_revocation AS revocation
           ON revocation.subscription_id = mail.access_code_id
    WHERE mail.next_attempt_at <= {NOW[vendor]}
    ORDER BY mail.next_attempt_at, mail.id LIMIT {most} {LOCK[vendor]}"""  # noqa: S608 (our own names)


def _listed(table: str, names: Sequence[str]) -> str:
    columns = {name: f"{table}.{name}" for name in names}
    return ", ".join(f"CAST({c} AS text)" if n in TEXTS else c for n, c in columns.items())


def _mail(model: type[MailIntent], values: Sequence[Any]) -> MailIntent:
    mail: MailIntent = _from_db(model, MAIL, values)
    code = _from_db(AccessCode, CODE, values[len(MAIL) :])
    revoked_at, capped, mail.stopped = values[len(MAIL) + len(CODE) :]
    mail.capped = bool(capped)
    # Known, so that nothing asks the database for it.
    mail._state.fields_cache["access_code"] = code  # noqa: SLF001
    code._state.fields_cache["revocation"] = (  # noqa: SLF001
        None if revoked_at is None else Revocation(access_code_id=code.pk, revoked_at=revoked_at)
    )
    return mail


def _from_db(model: Any, names: tuple[str, ...], values: Sequence[Any]) -> Any:
    columns = columns_of(DEFAULT_DB_ALIAS, model, names)
    return model.from_db(DEFAULT_DB_ALIAS, names, columns.as_python(values[: len(names)]))
