"""A service can print its public keys before it has those of the other, which is not set up yet."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from pathlib import Path


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in production, without PEER_KEYS."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    password = secrets.token_urlsafe(16)
    own = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": f"postgres://payment:{password}@127.0.0.1:5432/payment",
        "BROKER_URL": f"amqp://payment:{password}@127.0.0.1:5672//",
        "SEALING_KEYS": f"k1:{key}",
        "WIRE_KEYS": f"p1:{key}",
    }
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=Path(__file__).parents[1],
        env=own,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_public_keys_of_the_first_service_are_printed() -> None:
    done = manage("wire_keys")

    assert done.stdout.startswith("payment_service:p1:")
    assert "PEER_KEYS of student_service: expected a key" in done.stderr
    assert done.returncode == 1


def test_no_other_command_runs_without_those_of_the_other_service() -> None:
    done = manage("relay_outbox")

    assert done.returncode == 1
    assert "PEER_KEYS: expected" in done.stderr
