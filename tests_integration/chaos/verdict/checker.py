"""Checks what a run leaves behind. It trusts no process, and does not know which faults happened.

1. Every accepted subscription has exactly one code, the same on both sides.
   An order of several subscriptions was recorded once, and is complete.
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

from . import access, codes, mails, messages
from .evidence import Evidence
from .findings import Verdict


def verify(evidence: Evidence, mails_in_doubt: int, *, broker_loses: bool = False) -> Verdict:
    """Check all the evidence. At most `mails_in_doubt` duplicate mails may have arrived.

    If the broker may have lost confirmed messages (`broker_loses`), published events need not have
    been handled, but both sides must still agree.
    """
    verdict = Verdict()
    codes.codes(evidence, verdict)
    codes.orders(evidence, verdict)
    codes.cancellations(evidence, verdict, broker_loses=broker_loses)
    codes.terms(evidence, verdict)
    access.access(evidence, verdict, broker_loses=broker_loses)
    access.uses(evidence, verdict)
    access.admissions(evidence, verdict)
    mails.intents(evidence, verdict)
    mails.mails(evidence, verdict, mails_in_doubt)
    messages.messages(evidence, verdict, broker_loses=broker_loses)
    messages.poison(evidence, verdict)
    messages.replies(evidence, verdict)
    verdict.unaccounted += [f"seen by a client: {what}" for what in evidence.anomalies]
    return verdict
