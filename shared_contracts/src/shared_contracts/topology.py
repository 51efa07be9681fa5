"""Which service handles what. What a service publishes follows from the events' `producer`.

Each service owns one direct exchange and may write nowhere else, so it cannot forge the
other's events. A third service binds a queue of its own and changes nothing here.
"""

from __future__ import annotations

from admit_one.contract import Service, Topology

from .events import (
    AccessCodeCreated,
    AccessCodeRestored,
    AccessCodeRevoked,
    AccessCodeUndeliverable,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    SubscriptionCancelled,
    UserSubscribed,
)

PAYMENT = Service(
    "payment_service",
    handles=(
        AccessCodeCreated,
        AccessCodeRevoked,
        AccessCodeUndeliverable,
        AccessDigest,
        AccessGrantReported,
    ),
)
STUDENT = Service(
    "student_service",
    handles=(
        UserSubscribed,
        SubscriptionCancelled,
        AccessDigestRequested,
        AccessGrantsRequested,
        AccessCodeRestored,
    ),
)
TOPOLOGY = Topology(PAYMENT, STUDENT)
