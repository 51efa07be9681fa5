"""What API keys may be allowed to do. A view says which scope each of its methods needs."""

from __future__ import annotations

from collections.abc import Iterable

SCOPES = {
    "subscriptions:read": "list and show subscriptions",
    "subscriptions:write": "record, renew, cancel and refund subscriptions",
    "codes:read": "see whole access codes, not only their last four characters",
    "codes:redeem": "validate and redeem access codes, and ask whether admissions hold",
    "codes:operate": "list, suspend, revoke, replace and mail access codes",
    "webhooks": "manage webhooks",
}
"""What each scope allows, as an operator reads it."""


class UnknownScope(ValueError):
    """There is no such scope."""


def written(scopes: Iterable[str]) -> str:
    """The scopes as a row keeps them: each once, in the order of `SCOPES`, separated by spaces.

    Raises `UnknownScope` for another one, and for none at all.
    """
    given = set(scopes)
    if not given or given - SCOPES.keys():
        raise UnknownScope(f"expected some of {', '.join(SCOPES)}")
    return " ".join(scope for scope in SCOPES if scope in given)
