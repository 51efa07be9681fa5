"""Every subscription has its code, its terms and its end, and every order its subscriptions."""

from __future__ import annotations

from collections import Counter

from .evidence import SIDES, Evidence
from .findings import Verdict


def codes(evidence: Evidence, verdict: Verdict) -> None:
    codes, issued = Counter(evidence.shown.values()), Counter(evidence.issued)
    for subscription in evidence.accepted:
        if subscription not in evidence.recorded or subscription not in evidence.shown:
            verdict.lost.append(f"subscription {subscription} was accepted, but no longer exists")
        elif evidence.shown[subscription] is None:
            # The request for the code of a cancelled subscription is not repeated.
            if subscription not in evidence.cancelled:
                verdict.lost.append(f"subscription {subscription} has no code")
        elif subscription not in issued:
            verdict.lost.append(f"subscription {subscription} has no code on the student side")
    for code, count in codes.items():
        if code is not None and count > 1:
            verdict.doubled.append(f"{count} subscriptions have the same code")
    for subscription in evidence.recorded.keys() - evidence.accepted.keys():
        verdict.unaccounted.append(f"no client created subscription {subscription}")
    for user, count in Counter(evidence.recorded.values()).items():
        if count > 1:
            verdict.doubled.append(f"the only order of user {user} was recorded {count} times")
    for subscription in issued.keys() - evidence.recorded.keys():
        verdict.unaccounted.append(f"subscription {subscription} has a code, but was not paid for")


def orders(evidence: Evidence, verdict: Verdict) -> None:
    for order in evidence.ordered:
        if not evidence.orders.get(order):
            what = "is not complete" if order in evidence.orders else "no longer exists"
            verdict.lost.append(f"order {order} was accepted, but {what}")
    for order in evidence.orders.keys() - set(evidence.ordered):
        verdict.unaccounted.append(f"no client placed order {order}")


def cancellations(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
    issued, revoked = set(evidence.issued), set(evidence.revoked)
    for subscription in evidence.cancelled:
        cancelled = f"subscription {subscription} was cancelled"
        if subscription not in evidence.shown_cancelled:
            verdict.lost.append(f"{cancelled}, but the API does not show that")
        if subscription in issued - revoked:
            verdict.lost.append(f"{cancelled}, but its code still works")
        elif subscription not in evidence.confirmed and not broker_loses:
            verdict.lost.append(f"{cancelled}, but the payment side has no confirmation")
    for subscription in {*evidence.shown_cancelled, *revoked} - set(evidence.cancelled):
        verdict.unaccounted.append(f"no client cancelled subscription {subscription}")


def terms(evidence: Evidence, verdict: Verdict) -> None:
    """Nothing is compared of a cancelled subscription, whose code does not work."""
    ours, theirs = (evidence.terms[service] for service in SIDES)
    for subscription in ours.keys() | theirs.keys():
        if subscription in evidence.cancelled:
            continue
        if ours.get(subscription) != theirs.get(subscription):
            verdict.lost.append(
                f"subscription {subscription} has other terms on the student side: "
                f"{ours.get(subscription)}, {theirs.get(subscription)}"
            )
    for subscription, until in evidence.renewed.items():
        if subscription in evidence.cancelled:
            continue
        known = ours.get(subscription)
        if known is None or known.valid_until < until:  # as texts, both begin with the day
            verdict.lost.append(f"subscription {subscription} was renewed, and is not any more")
