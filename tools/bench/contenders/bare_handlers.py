"""The handlers of the bare loop: one statement per table and batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uuid_utils.compat import uuid7

from tools.bench.stage import Connection

from . import events


def issue_codes(database: Connection, batch: Sequence[events.Message]) -> None:
    replies = [events.access_code_created(message, events.new_code()) for message in batch]
    database.execute(
        "INSERT INTO access_code (subscription_id, user_id, plan, code) "
        "SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) "
        "ON CONFLICT DO NOTHING",
        columns(
            [
                (m["subject"], m["data"]["user_id"], m["data"]["plan"], r["data"]["access_code"])
                for m, r in zip(batch, replies, strict=True)
            ]
        ),
    )
    ids = [uuid7() for _ in batch]
    database.execute(
        "INSERT INTO mail_intent (id, subscription_id, message_id, recipient) "
        "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[])",
        columns(
            [
                (i, m["subject"], f"<{i}@example.com>", m["data"]["email"])
                for i, m in zip(ids, batch, strict=True)
            ]
        ),
    )
    database.execute(
        "INSERT INTO outbox (event_id, type, subject, body) "
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[])",
        columns([(r["id"], r["type"], r["subject"], events.to_wire(r)) for r in replies]),
    )


def store_codes(database: Connection, batch: Sequence[events.Message]) -> None:
    database.execute(
        "UPDATE subscription SET access_code = given.code "
        "FROM unnest(%s::uuid[], %s::text[]) AS given (id, code) "
        "WHERE subscription.id = given.id AND access_code IS NULL",
        columns([(m["subject"], m["data"]["access_code"]) for m in batch]),
    )


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
