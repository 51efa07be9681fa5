"""What Prometheus reads of mails: how they ended, how many are open, how long they took."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator

from admit_one.metrics import AT_MOST, WAITS, gauges
from prometheus_client import Counter, Histogram, Metric

from .models import MailIntent

MAILS = Counter("access_codes_mails", "Mails by the state in which a worker left them.", ["state"])
PAID_TO_MAIL = Histogram(
    "access_codes_paid_to_mail_seconds",
    "Seconds from the payment until the mail server took the mail with the code.",
    buckets=WAITS,
)


def count_mail(intent: MailIntent) -> None:
    """Count what became of a mail; call it after the commit."""
    MAILS.labels(intent.state).inc()
    if intent.state == MailIntent.State.SENT and intent.access_code_id.version == 7:
        # A subscription's id is made at the payment, and begins with its millisecond.
        PAID_TO_MAIL.observe(max(0.0, time.time() - (intent.access_code_id.int >> 80) / 1000))


def open_mails() -> Iterator[Metric]:
    """Counted by the index of what is due by itself."""
    unfinished = MailIntent.objects.filter(next_attempt_at__isnull=False).order_by()
    yield gauges(
        "access_codes_open_mails",
        f"Mails that a worker will still attempt, at most {AT_MOST}.",
        ("state",),
        {
            (state,): n
            for state, n in Tally(unfinished.values_list("state", flat=True)[:AT_MOST]).items()
        },
    )
