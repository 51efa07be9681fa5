"""What Prometheus reads of mails: how many ended how, how many are open, how long they took."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator

from admit_one.messaging.metrics import WAITS
from admit_one.metrics import AT_MOST, gauges
from prometheus_client import Counter, Histogram, Metric

from .models import MailIntent

SETTLED = Counter(
    "access_codes_mails", "Mails by the state in which an attempt has left them.", ["state"]
)
PAID_TO_MAIL = Histogram(
    "access_codes_paid_to_mail_seconds",
    "From the payment to when the mail server took the mail with the code.",
    buckets=WAITS,
)


def mail_settled(intent: MailIntent) -> None:
    """Count a mail, after the commit of what became of it."""
    SETTLED.labels(intent.state).inc()
    if intent.state == MailIntent.State.SENT and intent.access_code_id.version == 7:
        # A subscription's id is made when it is paid, and begins with that millisecond.
        PAID_TO_MAIL.observe(max(0.0, time.time() - (intent.access_code_id.int >> 80) / 1000))


def open_mails() -> Iterator[Metric]:
    """By the index of what will still happen by itself."""
    unsettled = MailIntent.objects.filter(next_attempt_at__isnull=False).order_by()
    yield gauges(
        "access_codes_open_mails",
        f"Mails with which something will still happen by itself, {AT_MOST} at most.",
        ("state",),
        {
            (state,): n
            for state, n in Tally(unsettled.values_list("state", flat=True)[:AT_MOST]).items()
        },
    )
