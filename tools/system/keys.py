"""The secrets of both services on this machine, in a file that only its owner may read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

Keys = dict[str, dict[str, str]]
"""Environment variables by service; none of them is known to both services."""


def new_keys() -> Keys:
    """Fresh keys for both services."""
    return {
        "payment_service": {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "SEALING_KEYS": f"k1:{new_key()}",
        },
        "student_service": {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "SEALING_KEYS": f"k1:{new_key()}",
            "CODE_LOOKUP_KEY": new_key(),
        },
    }


def new_key() -> str:
    """32 random bytes, as URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def kept_keys(path: Path) -> Keys:
    """The keys in `path`, made now if there are none."""
    if not path.exists():
        write_private(path, json.dumps(new_keys(), indent=2))
    keys: Keys = json.loads(path.read_text())
    return keys


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but its owner may read, not even for a moment, nor half."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
