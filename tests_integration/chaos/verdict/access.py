"""Codes open what they may, and no more often than they may."""

from __future__ import annotations

from .evidence import SIDES, Access, Evidence
from .findings import Verdict

UNTOUCHED = Access(generation=1, uses=0, suspended=False)
"""A code that nothing has happened to."""


def access(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
    """What the payment side only shows is not repaired if the broker has lost it."""
    ours, theirs = (evidence.access[service] for service in SIDES)
    for subscription in ours.keys() | theirs.keys():
        here, there = ours.get(subscription, UNTOUCHED), theirs.get(subscription, UNTOUCHED)
        replaced = len(evidence.replaced.get(subscription, ()))
        if there.generation != 1 + replaced:
            verdict.doubled.append(
                f"subscription {subscription} has had {there.generation} codes, "
                f"of which {replaced} were replaced"
            )
        if there.suspended != (subscription in evidence.suspended):
            verdict.lost.append(f"a suspension or its end of subscription {subscription} is lost")
        if broker_loses:
            here = there._replace(generation=here.generation)
        if here != there and not (broker_loses and subscription in evidence.cancelled):
            verdict.lost.append(
                f"the sides differ about subscription {subscription}: {here}, {there}"
            )
    for subscription, codes in evidence.older_codes.items():
        if set(codes) - set(evidence.replaced.get(subscription, ())):
            verdict.doubled.append(
                f"the API showed codes of subscription {subscription} that nobody replaced"
            )


def uses(evidence: Evidence, verdict: Verdict) -> None:
    counted = evidence.access["student_service"]
    for subscription in counted.keys() | evidence.redeemed.keys():
        uses = counted.get(subscription, UNTOUCHED).uses
        redeemed = len(evidence.redeemed.get(subscription, ()))
        allowed = evidence.allowed.get(subscription, uses)
        counts = f"subscription {subscription} was redeemed {redeemed} times, and counts {uses}"
        if redeemed > allowed:
            verdict.doubled.append(f"{counts}, expected at most {allowed}")
        elif uses > redeemed:
            verdict.doubled.append(counts)
        elif uses < redeemed:
            verdict.lost.append(counts)


def admissions(evidence: Evidence, verdict: Verdict) -> None:
    """Which codes let in at the end."""
    for subscription, codes in evidence.lets_in.items():
        uses = evidence.access["student_service"].get(subscription, UNTOUCHED).uses
        is_used_up = uses >= evidence.allowed.get(subscription, uses + 1)
        closed = {*evidence.cancelled, *evidence.suspended}
        shown = evidence.shown.get(subscription)
        expected = set() if subscription in closed or is_used_up else {shown}
        if set(codes) - expected:
            verdict.doubled.append(f"a code of subscription {subscription} lets in, and must not")
        if expected - set(codes):
            verdict.lost.append(f"the code of subscription {subscription} does not let in")
