"""Checks what a run leaves behind. It trusts no process, and does not know which faults happened.

1. Every accepted subscription has exactly one code, the same on both sides.
2. No code exists without a subscription. What clients cancelled, and nothing else, is cancelled on
   both sides.
   Of each other subscription both sides have the same terms, and a renewal is in them.
3. No code is redeemed more often than its terms allow, each redemption counts once, and a code that
   was replaced, suspended or revoked lets in nobody. At most one code of a subscription lets in:
   the one that the API shows. Both sides agree on generation, uses and suspension.
4. There is a mail for each code, and one more for each that replaces it. Each has arrived once,
   except that mails in doubt may arrive twice. All copies of a mail have the same Message-ID and,
   unless it was replaced between them, code. A mail whose code is revoked may be withdrawn.
5. Every message was handled, or is set aside as dead with a reason; the dead ones are exactly the
   poison. Nothing is waiting.
6. Nobody got a wrong answer.

The run itself checks that every process is running and has not grown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests_integration.chaos.load.third_parties import REPLIES
from tests_integration.harness.mailbox import ReceivedMail

from .evidence import Access, Evidence

OTHER = {"payment_service": "student_service", "student_service": "payment_service"}
CREATED, REPLACED = "access_code_created", "access_code_replaced"
"""How a request for a code is answered: the second if the code was replaced."""

SHOWN_AT_MOST = 20

UNTOUCHED = Access(generation=1, uses=0, suspended=False)
"""A code that nothing has happened to."""


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
    _access(evidence, verdict, broker_loses=broker_loses)
    _uses(evidence, verdict)
    _admissions(evidence, verdict)
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


def _access(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
    """What the payment side only shows is not repaired if the broker has lost it."""
    ours, theirs = (evidence.access[service] for service in OTHER)
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


def _uses(evidence: Evidence, verdict: Verdict) -> None:
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


def _admissions(evidence: Evidence, verdict: Verdict) -> None:
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


def _intents(evidence: Evidence, verdict: Verdict) -> None:
    mails_of = Counter(intent.subscription for intent in evidence.intents)
    for subscription in {*evidence.issued, *mails_of}:
        expected = 1 + len(evidence.replaced.get(subscription, ()))
        mails, missing = mails_of[subscription], expected - mails_of[subscription]
        if missing > 0:
            verdict.lost.append(f"{missing} mails of subscription {subscription} were not written")
        elif missing < 0:
            verdict.doubled.append(f"{mails} mails were written for subscription {subscription}")


def _mails(evidence: Evidence, verdict: Verdict, mails_in_doubt: int) -> None:
    copies: dict[str, list[ReceivedMail]] = defaultdict(list)
    for mail in evidence.mails:
        copies[mail.message_id].append(mail)
    duplicates = 0
    mailed: set[tuple[str, str]] = set()
    for intent in evidence.intents:
        arrived = copies.pop(intent.message_id, [])
        codes = {code for mail in arrived for code in mail.codes}
        mailed |= {(intent.subscription, code) for code in codes}
        withdrawn = intent.state == "withdrawn" and intent.subscription in evidence.revoked
        if not arrived and withdrawn:
            continue
        if not arrived:
            verdict.lost.append(f"mail {intent.message_id} is {intent.state}, but did not arrive")
        elif not codes or codes - _expected(evidence, intent.subscription, codes):
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
    for subscription in evidence.replaced.keys() - set(evidence.revoked):
        if (subscription, evidence.shown.get(subscription)) not in mailed:
            verdict.lost.append(f"the latest code of subscription {subscription} was not mailed")
    for message_id in copies:
        verdict.unaccounted.append(f"mail {message_id} arrived, but was never written")


def _expected(evidence: Evidence, subscription: str, mailed: set[str]) -> set[str]:
    """The codes that mails may carry. The API may never show that of a cancelled subscription."""
    shown, replaced = evidence.shown.get(subscription), evidence.replaced.get(subscription, ())
    if shown is None:
        return mailed if subscription in evidence.cancelled else set()
    return {shown, *replaced}


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
