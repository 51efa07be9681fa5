from .paid import Paid, paid_of
from .reconciliation import Drift, ReconciliationRun
from .subscription import (
    CODE_PURPOSE,
    REQUEST_AGAIN_AFTER,
    UNANSWERED,
    Subscription,
    request_delay,
)

__all__ = [
    "CODE_PURPOSE",
    "REQUEST_AGAIN_AFTER",
    "UNANSWERED",
    "Drift",
    "Paid",
    "ReconciliationRun",
    "Subscription",
    "paid_of",
    "request_delay",
]
