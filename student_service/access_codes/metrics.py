"""Prometheus metrics: mails and the time from payment to mail, grants, and answers about codes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from admit_one.metrics import WAITS, counted
from prometheus_client import Counter, Gauge, Histogram, Metric

from .models import MailIntent, WaitingGrant

MAILS = Counter("access_codes_mails", "Attempts, by the state of the mail afterwards.", ["state"])
HELD = Gauge("access_codes_mails_held", "1 while the mail server refuses us, so that mails wait.")
PAID_TO_MAIL = Histogram(
    "access_codes_paid_to_mail_seconds",
    "Seconds from the payment until the mail server accepted the mail with the code.",
    buckets=WAITS,
)
ANSWERS = Counter(
    "access_codes_answers",
    "Answers about codes, by question and reason. Many that are unknown: somebody may be guessing.",
    ["question", "reason"],
)
UNREADABLE_CODES = Counter(
    "access_codes_unreadable_codes", "Answers without a code, because it cannot be decrypted."
)
RUNS = Counter("access_codes_runs", "Reconciliations of the payment side that were answered.")
GRANTS = Counter("access_codes_grants", "Codes with their addresses that were reported to runs.")


def count_mail(intent: MailIntent) -> None:
    """Count a mail by its state; call this after the commit."""
    MAILS.labels(intent.state).inc()
    is_first = intent.kind == MailIntent.Kind.CODE
    if intent.state == MailIntent.State.SENT and is_first and intent.access_code_id.version == 7:
        # UUIDs of version 7 begin with their creation time in milliseconds, here the payment.
        PAID_TO_MAIL.observe(max(0.0, time.time() - (intent.access_code_id.int >> 80) / 1000))


def open_mails() -> Iterator[Metric]:
    unfinished = MailIntent.objects.filter(next_attempt_at__isnull=False)
    yield counted(
        "access_codes_open_mails",
        "Mails that a worker will still attempt",
        unfinished,
        by="state",
    )


def waiting_grants() -> Iterator[Metric]:
    yield counted(
        "access_codes_grants_waiting",
        "Grants that wait for the next hour, or for an operator",
        WaitingGrant.objects.all(),
    )
