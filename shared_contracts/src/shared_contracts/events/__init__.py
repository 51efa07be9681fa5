"""The events that our two services exchange."""

from .access_codes import AccessCodeCreated, AccessCodeRevoked, AccessCodeUndeliverable
from .reconciliation import (
    ACTIVE,
    MOST_DIGESTS,
    MOST_GRANTS,
    REVOKED,
    AccessCodeRestored,
    AccessDigest,
    AccessDigestRequested,
    AccessGrantReported,
    AccessGrantsRequested,
    DigestEntry,
    Position,
    code_digest,
)
from .subscriptions import SubscriptionCancelled, UserSubscribed

__all__ = [
    "ACTIVE",
    "MOST_DIGESTS",
    "MOST_GRANTS",
    "REVOKED",
    "AccessCodeCreated",
    "AccessCodeRestored",
    "AccessCodeRevoked",
    "AccessCodeUndeliverable",
    "AccessDigest",
    "AccessDigestRequested",
    "AccessGrantReported",
    "AccessGrantsRequested",
    "DigestEntry",
    "Position",
    "SubscriptionCancelled",
    "UserSubscribed",
    "code_digest",
]
