from .reconciliation import Drift, ReconciliationRun
from .subscription import ASK_AGAIN_AFTER, CODE_PURPOSE, UNANSWERED, Subscription, ask_delay

__all__ = [
    "ASK_AGAIN_AFTER",
    "CODE_PURPOSE",
    "UNANSWERED",
    "Drift",
    "ReconciliationRun",
    "Subscription",
    "ask_delay",
]
