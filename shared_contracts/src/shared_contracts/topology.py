"""Which service handles which events. What a service publishes follows from their `producer`.

Each service may write only to its own exchange, so it cannot forge the other's events.
"""

from __future__ import annotations

from admit_one.contract import Service, Topology

from . import events

PAYMENT = Service(
    "payment_service",
    handles=(
        events.AccessCodeCreated,
        events.AccessCodeReplaced,
        events.AccessCodeRedeemed,
        events.AccessTermsApplied,
        events.AccessSuspensionChanged,
        events.AccessCodeRevoked,
        events.AccessCodeEmailed,
        events.AccessCodeUndeliverable,
        events.AccessCodeFailed,
        events.AccessCodeResendAnswered,
        events.AccessCodeExpiringSoon,
        events.AccessChecksum,
        events.AccessDigest,
        events.AccessGrantReported,
        events.AccessGrantsDelayed,
        events.AccessErasureRequested,
        events.AccessErased,
    ),
)
STUDENT = Service(
    "student_service",
    handles=(
        events.UserSubscribed,
        events.SubscriptionCancelled,
        events.AccessTermsChanged,
        events.AccessCodeResendRequested,
        events.AccessChecksumRequested,
        events.AccessDigestRequested,
        events.AccessGrantsRequested,
        events.AccessCodeRestored,
        events.SubscriptionErasureRequested,
        events.SubscriptionErased,
    ),
)
TOPOLOGY = Topology(PAYMENT, STUDENT)
