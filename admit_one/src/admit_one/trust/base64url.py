"""URL-safe base64 without padding (RFC 4648, section 5), in its one canonical form."""

from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(text: str) -> bytes:
    """The bytes of `text`. Raises `ValueError` unless `encode` would write them so.

    Otherwise one signature had several texts.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))  # skips what is no base64
    if encode(data) != text:
        raise ValueError("expected base64 in its canonical form")
    return data
