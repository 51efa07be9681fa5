"""The secrets of both services, in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from admit_one.trust import base64url
from admit_one.trust.keys import WireKey

Keys = dict[str, dict[str, str]]
"""Environment variables by service."""


def new_keys() -> Keys:
    payment, student = new_key(), new_key()
    return {
        "payment_service": {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "SEALING_KEYS": f"k1:{new_key()}",
            "WIRE_KEYS": f"k1:{payment}",
            "PEER_KEYS": f"student_service:k1:{public(student)}",
            "STRIPE_WEBHOOK_SECRETS": f"whsec_{secrets.token_urlsafe(32)}",
        },
        "student_service": {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "SEALING_KEYS": f"k1:{new_key()}",
            "WIRE_KEYS": f"k1:{student}",
            "PEER_KEYS": f"payment_service:k1:{public(payment)}",
            "CODE_LOOKUP_KEY": new_key(),
        },
    }


def public(key: str) -> str:
    """What the other service lists in PEER_KEYS for this key of WIRE_KEYS."""
    return base64url.encode(WireKey(base64url.decode(key)).public)


def new_key() -> str:
    """32 random bytes, as URL-safe base64."""
    return base64url.encode(secrets.token_bytes(32))


def kept_keys(path: Path) -> Keys:
    """The keys in `path`, with new ones for those that it lacks; they are added to the file."""
    kept: Keys = json.loads(path.read_text()) if path.exists() else {}
    keys = {service: new | kept.get(service, {}) for service, new in new_keys().items()}
    if keys != kept:
        write_private(path, json.dumps(keys, indent=2))
    return keys


def write_private(path: Path, text: str) -> None:
    """Write a file atomically; at no time can anybody but its owner read it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
