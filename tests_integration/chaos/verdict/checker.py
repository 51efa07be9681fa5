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
7. Each checkout that Stripe reported as paid is one subscription, and each of Stripe's events was
   kept once and has ended. What others forged is not there.
8. Each client has heard, by signed webhooks, of what happened to theirs at least once, and of
   nothing of others. All copies of a webhook have the same body, with ids and states only. No
   request has followed a redirect.
9. Whoever was erased is erased on both sides, and everybody else is there. Of these, all other
   rules expect nothing but the webhooks.

The run itself checks that every process is running and has not grown, that nothing hidden was
written anywhere, and that nothing of an erased person is left in either database.
"""

from __future__ import annotations

from . import access, codes, erased, mails, messages, stripe, webhooks
from .evidence import Evidence
from .findings import Verdict


def verify(evidence: Evidence, mails_in_doubt: int, *, broker_loses: bool = False) -> Verdict:
    """Check all the evidence. At most `mails_in_doubt` duplicate mails may have arrived.

    If the broker may have lost confirmed messages (`broker_loses`), published events need not have
    been handled, but both sides must still agree.
    """
    verdict = Verdict()
    erased.erasures(evidence, verdict)
    stripe.sales(evidence, verdict)
    webhooks.webhooks(evidence, verdict, broker_loses=broker_loses)
    evidence = erased.without_erased(evidence)
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
