"""Tables of messaging as they are after months: 200,000 rows in each, nearly all of them done."""

from __future__ import annotations

from admit_one.messaging import conf

from tools.system.plans import ROWS, fill, uuid_of

SENT, HANDLED, FAILED, ABOUT = 1, 2, 3, 4
"""Ids of events in each table, and their subjects."""

CLOSED = ROWS - 1_000


def aged(days: int) -> str:
    """When row `n` was made: one in fifty is past its retention of `days`."""
    return f"now() - ({ROWS} - n) * interval '{days * 1.02 / ROWS * 86_400:.6f} seconds'"


def make() -> None:
    current = conf.current()
    written = aged(current.OUTBOX_DAYS)
    fill(
        "messaging_outbox",
        {
            "event_id": uuid_of(SENT),
            "type": "'access_code_created'",
            "subject": uuid_of(ABOUT),
            "body": "'\\x00'",
            "created_at": written,
            "next_attempt_at": written,
            "published_at": f"CASE WHEN n < {ROWS} THEN {written} END",
        },
    )
    fill(
        "messaging_inbox",
        {
            "source": "'/payment_service'",
            "event_id": uuid_of(HANDLED),
            "type": "'user_subscribed'",
            "subject": uuid_of(ABOUT),
            "fingerprint": "'\\x00'",
            "received_at": aged(current.INBOX_DAYS),
        },
    )
    made = aged(current.SET_ASIDE_DAYS)
    fill(
        "messaging_set_aside",
        {
            "state": f"CASE WHEN n > {CLOSED} THEN (CASE n % 2 WHEN 0 THEN 'dead' ELSE 'retrying'"
            " END) WHEN n % 3 = 0 THEN 'discarded' ELSE 'replayed' END",
            "delivery": "'delivery ' || n",
            "queue": "'student_service.inbox'",
            "source": "'/payment_service'",
            "event_id": uuid_of(FAILED),
            "type": "CASE n % 1000 WHEN 0 THEN 'subscription_cancelled' ELSE 'user_subscribed' END",
            "subject": uuid_of(ABOUT),
            "body": "'\\x00'",
            "headers": "'{}'",
            "history": "'[]'",
            "suspect": "n % 5000 = 0",
            "error": "'Transient'",
            "reason": "'later'",
            "traceback": "''",
            "fingerprint": "'Cause ' || n % 20",
            "attempts": "1",
            "created_at": made,
            "next_attempt_at": f"CASE WHEN n > {CLOSED} THEN now() + interval '1 hour' END",
            "closed_at": f"CASE WHEN n <= {CLOSED} THEN {made} END",
        },
    )
    fill(
        "acts_act",
        {
            "area": "'set_aside'",
            "action": "CASE n % 2 WHEN 0 THEN 'replay' ELSE 'discard' END",
            "target": "n::text",
            '"group"': "''",
            "subject": uuid_of(ABOUT),
            "facts": f"jsonb_build_object('event_id', {uuid_of(FAILED)})",
            "by": "'operator ' || n % 1000",
            "reason": "'a release'",
            "at": made,
            "result": "'applied'",
            "detail": "''",
        },
    )
