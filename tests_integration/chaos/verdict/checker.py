"""Checks what a run leaves behind. It trusts no process, and does not know which faults happened.

1. Every accepted subscription has exactly one code, the same on both sides.
2. No code exists without a subscription. What clients cancelled, and nothing else, is cancelled on
   both sides.
   Of each other subscription both sides have the same terms, and a renewal is in them.
3. Each mail intent has led to one mail, except that mails in doubt may arrive twice. All copies of
   a mail have the same Message-ID and code. A mail whose code is revoked may be withdrawn.
4. Every message was handled, or is set aside as dead with a reason; the dead ones are exactly the
   poison. Nothing is waiting.
5. No client got a wrong answer.

The run itself checks that every process is running and has not grown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests_integration.chaos.load.third_parties import REPLIES
from tests_integration.harness.mailbox import ReceivedMail

from .evidence import Evidence

OTHER = {"payment_service": "student_service", "student_service": "payment_service"}
SHOWN_AT_MOST = 20


@dataclass
class Verdict:
    """The findings by kind; a clean run has none."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    """Secrets, codes and addresses where none may stand."""
    duplicate_mails: int = 0
    """Mails that arrived more than once."""
    lost_by_broker: int = 0
    """Events that the broker confirmed and then lost, in a run in which it may."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unaccounted or self.leaked)

    def findings(self) -> Iterator[str]:
        """At most `SHOWN_AT_MOST` of each kind."""
        for kind in ("lost", "doubled", "unaccounted", "leaked"):
            findings: list[str] = getattr(self, kind)
            yield from (f"{kind}: {what}" for what in findings[:SHOWN_AT_MOST])
            if len(findings) > SHOWN_AT_MOST:
                yield f"{kind}: … and {len(findings) - SHOWN_AT_MOST:,} more"


def verify(evidence: Evidence, mails_in_doubt: int, *, broker_loses: bool = False) -> Verdict:
    """Check all the evidence. At most `mails_in_doubt` duplicate mails may have arrived.

    If the broker may have lost confirmed messages (`broker_loses`), published events need not have
    been handled, but both sides must still agree.
    """
    verdict = Verdict()
    _codes(evidence, verdict)
    _cancellations(evidence, verdict, broker_loses=broker_loses)
    _terms(evidence, verdict)
    _intents(evidence, verdict)
    _mails(evidence, verdict, mails_in_doubt)
    _messages(evidence, verdict, broker_loses=broker_loses)
    _poison(evidence, verdict)
    _replies(evidence, verdict)
    verdict.unaccounted += [f"seen by a client: {what}" for what in evidence.anomalies]
    return verdict


def _codes(evidence: Evidence, verdict: Verdict) -> None:
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


def _cancellations(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
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


def _terms(evidence: Evidence, verdict: Verdict) -> None:
    """Nothing is compared of a cancelled subscription, whose code does not work."""
    ours, theirs = (evidence.terms[service] for service in OTHER)
    for subscription in ours.keys() | theirs.keys():
        if subscription in evidence.cancelled:
            continue
        if ours.get(subscription) != theirs.get(subscription):
            verdict.lost.append(
                f"subscription {subscription} has other terms on the student side: "
                f"{ours.get(subscription)}, {theirs.get(subscription)}"
            )
        elif subscription in evidence.renewed and "2099" not in ours[subscription].valid_until:
            verdict.lost.append(f"subscription {subscription} was renewed, and is not any more")


def _intents(evidence: Evidence, verdict: Verdict) -> None:
    mails_of = Counter(intent.subscription for intent in evidence.intents)
    for subscription in evidence.issued:
        if not mails_of[subscription]:
            verdict.lost.append(f"no mail was written for subscription {subscription}")
    for subscription, count in mails_of.items():
        if count > 1:
            verdict.doubled.append(f"{count} mails were written for subscription {subscription}")


def _mails(evidence: Evidence, verdict: Verdict, mails_in_doubt: int) -> None:
    copies: dict[str, list[ReceivedMail]] = defaultdict(list)
    for mail in evidence.mails:
        copies[mail.message_id].append(mail)
    duplicates = 0
    for intent in evidence.intents:
        arrived = copies.pop(intent.message_id, [])
        codes = {code for mail in arrived for code in mail.codes}
        withdrawn = intent.state == "withdrawn" and intent.subscription in evidence.revoked
        if not arrived and withdrawn:
            continue
        if not arrived:
            verdict.lost.append(f"mail {intent.message_id} is {intent.state}, but did not arrive")
        elif codes != {_expected(evidence, intent.subscription, codes)}:
            verdict.doubled.append(f"mail {intent.message_id} has another code than the API")
        elif len(arrived) > intent.attempts:
            verdict.doubled.append(
                f"mail {intent.message_id}: {len(arrived)} copies from {intent.attempts} attempts"
            )
        # After two copies in doubt the product leaves a mail to an operator, and this one arrived.
        left_to_operator = intent.state == "unknown" and arrived and intent.attempts > 1
        if intent.state != "sent" and not withdrawn and not left_to_operator:
            verdict.unaccounted.append(f"mail {intent.message_id} is {intent.state}, expected sent")
        duplicates += max(0, len(arrived) - 1)
        verdict.duplicate_mails += len(arrived) > 1
    if duplicates > mails_in_doubt:
        verdict.doubled.append(
            f"{duplicates} duplicate mails arrived, expected at most {mails_in_doubt}"
        )
    for message_id in copies:
        verdict.unaccounted.append(f"mail {message_id} arrived, but was never written")


def _expected(evidence: Evidence, subscription: str, mailed: set[str]) -> str | None:
    """The code that mails must carry. The API may never show that of a cancelled subscription."""
    shown = evidence.shown.get(subscription)
    if shown is None and subscription in evidence.cancelled:
        return next(iter(mailed), None)
    return shown


def _messages(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
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


def _poison(evidence: Evidence, verdict: Verdict) -> None:
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


def _replies(evidence: Evidence, verdict: Verdict) -> None:
    """Each handled request has exactly one reply."""
    requests = Counter(
        (REPLIES[message.type], message.subject)
        for message in evidence.handled["student_service"]
        if message.type in REPLIES
    )
    replies = Counter(
        (event.type, event.subject)
        for event in evidence.sent["student_service"]
        if event.type in REPLIES.values()
    )
    for what in requests.keys() | replies.keys():
        reply, subject = what
        counts = f"subscription {subject} has {replies[what]} {reply} for {requests[what]} requests"
        if replies[what] > requests[what]:
            verdict.doubled.append(counts)
        elif replies[what] < requests[what]:
            verdict.lost.append(counts)
