"""How long the payment side waits for answers before it repeats a request."""

from datetime import timedelta

REQUEST_AGAIN_AFTER = (
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
"""How long to wait for the answer to each request before the next; the last one repeats."""


def request_delay(requests: int) -> timedelta:
    """How long to wait for the answer to request number `requests`, counted from 1."""
    return REQUEST_AGAIN_AFTER[min(requests, len(REQUEST_AGAIN_AFTER)) - 1]
