"""How many requests a key may make in a minute, and an address without a valid key.

Each process decides by what it knows: its own requests, and those that all processes had counted
when it last added its own to the store, a second ago (`sharing`). No request waits for that. So n
processes let through at most (n - 1) times what one of them answers in that second too many, and
never more than n times the limit. While the store is away, each goes on with its own count, on top
of what all had counted when it last answered.

A valid key is never refused for what others do, not even from the same address. All failures
together only raise an alarm.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from admit_one.processes.announcer import Announcer
from admit_one.web import metrics
from admit_one.web.models import ApiKey

from . import sharing
from .counts import WINDOW, Allowance

RATE_PER_KEY = 6_000
"""Requests a minute, unless API_RATE_PER_KEY says otherwise."""

RATE_PER_ADDRESS = 60
"""Requests without a valid key, unless API_RATE_PER_ADDRESS says otherwise."""

ALARM = 20
"""Addresses at their limit whose failures together raise the alarm."""

IPV6_BITS_OF_ONE_CLIENT = 64
"""It can choose the others freely."""

ALL = "all"

key_announcer, address_announcer, failure_announcer = Announcer(), Announcer(), Announcer()


class TooManyRequests(APIException):
    """The limit is reached."""

    status_code = 429
    default_code = "rate_limited"

    def __init__(self, allowance: Allowance, what: str) -> None:
        super().__init__(
            f"expected at most {allowance.limit:,} {what} in {WINDOW} s; "
            f"retry in {allowance.seconds} s"
        )
        self.retry_after = str(allowance.seconds)


def count_request(request: Request, key: ApiKey) -> None:
    """Count a request with this key. Raises `TooManyRequests`."""
    sharing.sharer.soon()
    _count(request, key, 1)


def count_more(request: Request, key: ApiKey, requests: int) -> None:
    """Count a request, which was counted as one, as so many more: it does the work of so many.

    It counts at most as all of a minute, so that it can succeed. Raises `TooManyRequests`.
    """
    most = getattr(settings, "API_RATE_PER_KEY", RATE_PER_KEY) - 1
    if min(requests, most) > 0:
        _count(request, key, min(requests, most))


def _count(request: Request, key: ApiKey, requests: int) -> None:
    limit = getattr(settings, "API_RATE_PER_KEY", RATE_PER_KEY)
    allowance = sharing.keys.take(key.prefix, limit, requests)
    _show(request, "key", allowance)
    if not allowance.ok:
        metrics.REFUSED.labels("key_over_limit").inc()
        key_announcer.trouble(
            "key_over_limit",
            "requests with the key {prefix} of {client} are refused: more than {limit:,} a minute",
            prefix=key.prefix,
            client=key.client,
            limit=limit,
        )
        raise TooManyRequests(allowance, "requests with one API key")


def count_failure(request: Request) -> None:
    """Count a request without a valid key. Raises `TooManyRequests`."""
    sharing.sharer.soon()
    limit = getattr(settings, "API_RATE_PER_ADDRESS", RATE_PER_ADDRESS)
    _watch_all(ALARM * limit)
    address = client_address(request)
    allowance = sharing.addresses.take(f"from {address}", limit)
    _show(request, "address", allowance)
    if allowance.ok:
        metrics.REFUSED.labels("no_valid_key").inc()
        return
    metrics.REFUSED.labels("address_over_limit").inc()
    address_announcer.trouble(
        "address_over_limit",
        "requests without a valid API key from {client} are refused: more than {limit:,} a minute",
        client=address,
        limit=limit,
    )
    raise TooManyRequests(allowance, "requests without a valid API key")


def headers(request: Request) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` for the response (draft-ietf-httpapi-ratelimit-headers).

    Empty for a request that was not counted.
    """
    return getattr(request, "rate_limit", {})


def client_address(request: Request) -> str:
    """Where the request came from, as the web process knows it: the peer, or its proxy's word.

    Of an IPv6 address, the network that one client has.
    """
    given = str(request.META.get("REMOTE_ADDR", ""))
    try:
        address = ip_address(given.strip("[]").partition("%")[0])
    except ValueError:  # a proxy may send anything, even what is to stand nowhere
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    free = 128 - IPV6_BITS_OF_ONE_CLIENT
    return f"{IPv6Address(int(address) >> free << free)}/{IPV6_BITS_OF_ONE_CLIENT}"


def _show(request: Request, policy: str, allowance: Allowance) -> None:
    request.rate_limit = {  # type: ignore[attr-defined]
        "RateLimit-Policy": f'"{policy}";q={allowance.limit};w={WINDOW}',
        "RateLimit": f'"{policy}";r={allowance.remaining};t={allowance.seconds}',
    }


def _watch_all(limit: int) -> None:
    """An alarm and nothing else: who sends many bad requests must not lock out anybody."""
    allowance = sharing.together.take(ALL, limit)
    if not allowance.ok:
        failure_announcer.trouble(
            "many_failures",
            "more than {limit:,} requests a minute come without a valid API key",
            limit=limit,
        )
    elif allowance.remaining > limit // 2:
        failure_announcer.over("few_failures", "fewer requests come without a valid API key")
