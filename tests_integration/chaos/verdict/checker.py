"""What a run leaves behind must be whole. It believes no process, and knows nothing of the faults.

1. Every accepted subscription has exactly one code, the same on both sides.
2. There is no code without a subscription, and what a client has cancelled, and nothing else,
   is cancelled on both sides.
3. There is one mail for each intent, save those whose fate nobody could know; all copies of one
   mail carry one Message-ID and one code. A mail whose code is revoked may be withdrawn.
4. Every message is accounted for: handled, or set aside as dead with a reason, and those are
   exactly the poison. Nothing waits anywhere.
5. What clients saw was never wrong.

(That every process is back, no larger than it was, is for the run itself to see.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests_integration.chaos.load.third_parties import REPLIES
from tests_integration.harness.mailbox import Mail

from .evidence import Evidence

OTHER = {"payment_service": "student_service", "student_service": "payment_service"}
SHOWN_AT_MOST = 20


@dataclass
class Verdict:
    """What is wrong, in words, by kind. All of it empty is what is wanted."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)
    unknown_mails: int = 0
    """Mails that came more than once because nobody could know that they had come."""
    forgotten: int = 0
    """Events that the broker had confirmed and nobody ever got; fine only where they may be."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unaccounted)

    def findings(self) -> Iterator[str]:
        """The first few of each kind."""
        for kind in ("lost", "doubled", "unaccounted"):
            findings: list[str] = getattr(self, kind)
            yield from (f"{kind}: {what}" for what in findings[:SHOWN_AT_MOST])
            if len(findings) > SHOWN_AT_MOST:
                yield f"{kind}: … and {len(findings) - SHOWN_AT_MOST:,} more"


def verify(evidence: Evidence, mails_in_doubt: int, *, broker_forgets: bool = False) -> Verdict:
    """Compare all that is known. At most `mails_in_doubt` mails may have come again.

    Where the broker may have lost what it had confirmed, what was published need not be handled:
    what it was to bring about must be there all the same.
    """
    verdict = Verdict()
    _codes(evidence, verdict)
    _cancellations(evidence, verdict, broker_forgets=broker_forgets)
    _intents(evidence, verdict)
    _mails(evidence, verdict, mails_in_doubt)
    _messages(evidence, verdict, broker_forgets=broker_forgets)
    _poison(evidence, verdict)
    _replies(evidence, verdict)
    verdict.unaccounted += [f"a client: {what}" for what in evidence.wrong]
    return verdict


def _codes(evidence: Evidence, verdict: Verdict) -> None:
    codes, issued = Counter(evidence.shown.values()), Counter(evidence.issued)
    for subscription in evidence.accepted:
        if subscription not in evidence.recorded or subscription not in evidence.shown:
            verdict.lost.append(f"{subscription} was accepted, and is not known any more")
        elif evidence.shown[subscription] is None:
            # Nobody repeats the request for a code that is of no use.
            if subscription not in evidence.cancelled:
                verdict.lost.append(f"{subscription} has no code")
        elif subscription not in issued:
            verdict.lost.append(f"the student side does not know the code of {subscription}")
    for code, count in codes.items():
        if code is not None and count > 1:
            verdict.doubled.append(f"{count} subscriptions have one code")
    for subscription in evidence.recorded.keys() - evidence.accepted.keys():
        verdict.unaccounted.append(f"{subscription} was recorded, and no client knows of it")
    for user, count in Counter(evidence.recorded.values()).items():
        if count > 1:
            verdict.doubled.append(f"the one order of {user} was recorded {count} times")
    for subscription in issued.keys() - evidence.recorded.keys():
        verdict.unaccounted.append(f"there is a code for {subscription}, which nobody has paid for")


def _cancellations(evidence: Evidence, verdict: Verdict, *, broker_forgets: bool) -> None:
    issued, revoked = set(evidence.issued), set(evidence.revoked)
    for subscription in evidence.cancelled:
        if subscription not in evidence.shown_cancelled:
            verdict.lost.append(f"{subscription} was cancelled, and the API does not show it")
        if subscription in issued - revoked:
            verdict.lost.append(f"{subscription} was cancelled, and its code still lets in")
        elif subscription not in evidence.confirmed and not broker_forgets:
            verdict.lost.append(f"that the code of {subscription} is revoked was not confirmed")
    for subscription in {*evidence.shown_cancelled, *revoked} - set(evidence.cancelled):
        verdict.unaccounted.append(f"{subscription} is cancelled, and no client wanted that")


def _intents(evidence: Evidence, verdict: Verdict) -> None:
    mails_of = Counter(intent.subscription for intent in evidence.intents)
    for subscription in evidence.issued:
        if not mails_of[subscription]:
            verdict.lost.append(f"no mail is written for {subscription}")
    for subscription, count in mails_of.items():
        if count > 1:
            verdict.doubled.append(f"{count} mails are written for {subscription}")


def _mails(evidence: Evidence, verdict: Verdict, mails_in_doubt: int) -> None:
    copies: dict[str, list[Mail]] = defaultdict(list)
    for mail in evidence.mails:
        copies[mail.message_id].append(mail)
    again = 0
    for intent in evidence.intents:
        came = copies.pop(intent.message_id, [])
        codes = {code for mail in came for code in mail.codes}
        withdrawn = intent.state == "withdrawn" and intent.subscription in evidence.revoked
        if not came and withdrawn:
            continue
        if not came:
            verdict.lost.append(f"mail {intent.message_id} is {intent.state}, and did not come")
        elif codes != {_expected(evidence, intent.subscription, codes)}:
            verdict.doubled.append(f"mail {intent.message_id} brings another code than the API")
        elif len(came) > intent.attempts:
            verdict.doubled.append(
                f"mail {intent.message_id} came {len(came)} times in {intent.attempts} attempts"
            )
        if intent.state != "sent" and not withdrawn:
            verdict.unaccounted.append(f"mail {intent.message_id} is {intent.state}")
        again += max(0, len(came) - 1)
        verdict.unknown_mails += len(came) > 1
    if again > mails_in_doubt:
        verdict.doubled.append(
            f"mails came {again} times more than once, and only {mails_in_doubt} were in doubt"
        )
    for message_id in copies:
        verdict.unaccounted.append(f"mail {message_id} came, and nobody has written it")


def _expected(evidence: Evidence, subscription: str, mailed: set[str]) -> str | None:
    """The code that mails must bring; one that was lost and then cancelled never comes back."""
    shown = evidence.shown.get(subscription)
    if shown is None and subscription in evidence.cancelled:
        return next(iter(mailed), None)
    return shown


def _messages(evidence: Evidence, verdict: Verdict, *, broker_forgets: bool) -> None:
    for producer, events in evidence.sent.items():
        receiver = OTHER[producer]
        handled = {message.event_id for message in evidence.handled[receiver]}
        for event in events:
            if not event.published:
                verdict.unaccounted.append(f"{event.type} {event.event_id} waits in the outbox")
            elif event.event_id not in handled and broker_forgets:
                verdict.forgotten += 1
            elif event.event_id not in handled:
                verdict.unaccounted.append(f"{event.type} {event.event_id} was never handled")
    requests = {message.event_id for message in evidence.handled["student_service"]}
    for event_id in evidence.published.requests - requests:
        verdict.unaccounted.append(f"the request {event_id} of a third party was never handled")


def _poison(evidence: Evidence, verdict: Verdict) -> None:
    for service, poison in evidence.published.poison.items():
        kept = Counter(aside.mark for aside in evidence.aside[service])
        for aside in evidence.aside[service]:
            what = f"{aside.mark or aside.event_id or 'an unreadable message'} of {service}"
            if aside.state != ("dead" if aside.mark else "replayed"):
                verdict.unaccounted.append(f"{what} is {aside.state}: {aside.reason}")
            elif not aside.reason:
                verdict.unaccounted.append(f"{what} is {aside.state} without a reason")
        for mark in sorted(poison):
            if kept[mark] != 1:
                verdict.unaccounted.append(f"{mark} of {service} was set aside {kept[mark]} times")


def _replies(evidence: Evidence, verdict: Verdict) -> None:
    """Each request that was handled has caused one reply, and no more."""
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
        answer, subject = what
        counts = f"{subject}: {requests[what]} requests, {replies[what]} replies"
        if replies[what] > requests[what]:
            verdict.doubled.append(f"{counts} ({answer})")
        elif replies[what] < requests[what]:
            verdict.lost.append(f"{counts} ({answer})")
