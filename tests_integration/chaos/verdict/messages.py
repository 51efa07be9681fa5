"""Every message was handled once, or set aside."""

from __future__ import annotations

from collections import Counter

from tests_integration.chaos.load.third_parties import REPLIES

from .evidence import OTHER, Evidence
from .findings import Verdict

CREATED, REPLACED = "access_code_created", "access_code_replaced"
"""How a request for a code is answered: the second if the code was replaced."""


def messages(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
    for producer, events in evidence.sent.items():
        receiver = OTHER[producer]
        handled = {message.event_id for message in evidence.handled[receiver]}
        for event in events:
            if not event.published:
                verdict.unaccounted.append(f"{event.type} {event.event_id} was never published")
            elif event.event_id not in handled and broker_loses:
                verdict.lost_by_broker += 1
            elif event.event_id not in handled:
                verdict.unaccounted.append(f"{event.type} {event.event_id} was never handled")
    requests = {message.event_id for message in evidence.handled["student_service"]}
    for event_id in evidence.published.requests - requests:
        verdict.unaccounted.append(f"request {event_id} of a third party was never handled")


def poison(evidence: Evidence, verdict: Verdict) -> None:
    for service, poison in evidence.published.poison.items():
        times = Counter(message.mark for message in evidence.set_aside[service])
        for message in evidence.set_aside[service]:
            what = f"{service} set aside {message.mark or message.event_id or 'unreadable bytes'}"
            expected = "dead" if message.mark else "replayed"
            if message.state != expected:
                verdict.unaccounted.append(
                    f"{what} ({message.reason}): it is {message.state}, expected {expected}"
                )
            elif not message.reason:
                verdict.unaccounted.append(f"{what} without a reason")
        for mark in sorted(poison):
            if times[mark] != 1:
                verdict.unaccounted.append(
                    f"{service} set aside {mark} {times[mark]} times, expected once"
                )


def replies(evidence: Evidence, verdict: Verdict) -> None:
    """Each handled request has exactly one reply."""
    requests = Counter(
        (REPLIES[message.type], message.subject)
        for message in evidence.handled["student_service"]
        if message.type in REPLIES
    )
    replies = Counter(
        (CREATED if event.type == REPLACED else event.type, event.subject)
        for event in evidence.sent["student_service"]
        if event.type in {REPLACED, *REPLIES.values()}
    )
    # A replacement is reported without a request, too.
    replies.subtract({(CREATED, each): len(codes) for each, codes in evidence.replaced.items()})
    for what in requests.keys() | replies.keys():
        reply, subject = what
        counts = f"subscription {subject} has {replies[what]} {reply} for {requests[what]} requests"
        if replies[what] > requests[what]:
            verdict.doubled.append(counts)
        elif replies[what] < requests[what]:
            verdict.lost.append(counts)
