"""Secrets, and signatures after Standard Webhooks (https://www.standardwebhooks.com, 1.0)."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from admit_one.sealing import Unsealable, seal, unseal

from .models import PREVIOUS_PURPOSE, SECRET_PURPOSE, Endpoint

SECRET_BYTES = 32
PREFIX = "whsec_"

BOTH_VALID = timedelta(hours=24)
"""How long the previous secret still signs after it was rotated."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sealed(secret: str, endpoint: UUID) -> bytes:
    return seal(secret.encode(), SECRET_PURPOSE, endpoint)


def rotate(endpoint: Endpoint, now: datetime) -> str:
    """Give the unsaved row another secret; returns it. The one that it had stays for a while.

    One whose key is gone cannot be kept.
    """
    secret = new_secret()
    try:
        before = _current(endpoint)
    except Unsealable:  # nothing can be signed with it
        endpoint.previous_secret, endpoint.previous_until = None, None
    else:
        endpoint.previous_secret = seal(before.encode(), PREVIOUS_PURPOSE, endpoint.pk)
        endpoint.previous_until = now + BOTH_VALID
    endpoint.secret = sealed(secret, endpoint.pk)
    return secret


def headers(endpoint: Endpoint, webhook_id: UUID, body: str, now: datetime) -> dict[str, str]:
    """The headers that name and sign a body. Raises `Unsealable`."""
    timestamp = int(now.timestamp())
    content = f"{webhook_id}.{timestamp}.{body}".encode()
    signatures = (_signature(secret, content) for secret in _valid(endpoint, now))
    return {
        "webhook-id": str(webhook_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _current(endpoint: Endpoint) -> str:
    return unseal(endpoint.secret, SECRET_PURPOSE, endpoint.pk).decode()


def _valid(endpoint: Endpoint, now: datetime) -> Iterator[str]:
    yield _current(endpoint)
    until = endpoint.previous_until
    if endpoint.previous_secret is not None and until is not None and now < until:
        yield unseal(endpoint.previous_secret, PREVIOUS_PURPOSE, endpoint.pk).decode()


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
