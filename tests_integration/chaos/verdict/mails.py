"""Every code was mailed."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests_integration.harness.mailbox import ReceivedMail

from .evidence import Evidence
from .findings import Verdict


def intents(evidence: Evidence, verdict: Verdict) -> None:
    mails_of = Counter(intent.subscription for intent in evidence.intents)
    for subscription in {*evidence.issued, *mails_of}:
        expected = 1 + len(evidence.replaced.get(subscription, ()))
        mails, missing = mails_of[subscription], expected - mails_of[subscription]
        if missing > 0:
            verdict.lost.append(f"{missing} mails of subscription {subscription} were not written")
        elif missing < 0:
            verdict.doubled.append(f"{mails} mails were written for subscription {subscription}")


def mails(evidence: Evidence, verdict: Verdict, mails_in_doubt: int) -> None:
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
