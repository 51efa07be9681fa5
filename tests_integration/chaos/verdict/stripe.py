"""What Stripe reports is kept once, and each checkout that was paid is one subscription."""

from __future__ import annotations

from .evidence import Evidence
from .findings import Verdict

ENDED = {"handled", "ignored"}


def sales(evidence: Evidence, verdict: Verdict) -> None:
    """Which subscriptions there may be besides, their codes and mails, is checked of all alike."""
    for checkout in evidence.paid - evidence.sold.keys():
        verdict.lost.append(f"checkout {checkout} was paid, but there is no subscription")
    for checkout in evidence.sold.keys() - evidence.paid:
        verdict.unaccounted.append(f"checkout {checkout} was not paid, but has a subscription")
    for event in evidence.taken - evidence.kept.keys():
        verdict.lost.append(f"Stripe's event {event} was taken, but is not kept")
    for event, state in evidence.kept.items():
        if event not in evidence.taken:
            verdict.unaccounted.append(f"event {event} is kept, but Stripe has not sent it")
        elif state not in ENDED:
            verdict.unaccounted.append(f"Stripe's event {event} is {state}, expected handled")
