"""Every process that starts names all settings that are missing or wrong."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.system.commands import SERVICES
from tools.system.keys import new_key, public

ROOT = Path(__file__).parent.parent
REQUIRED = {
    "payment_service": [
        *("SECRET_KEY", "DATABASE_URL", "BROKER_URL", "SEALING_KEYS", "WIRE_KEYS", "PEER_KEYS"),
    ],
    "student_service": [
        *("SECRET_KEY", "DATABASE_URL", "BROKER_URL", "SEALING_KEYS", "WIRE_KEYS", "PEER_KEYS"),
        *("EMAIL_URL", "EMAIL_FROM", "CODE_LOOKUP_KEY"),
    ],
}
STARTS = {
    "command": ["manage.py", "relay_outbox"],
    "worker": ["-m", "celery", "-A", "{service}", "worker"],
    "operators": ["manage.py", "serve_web", "--settings", "{service}.operators.settings"],
}


def start(service: str, how: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(part.format(service=service) for part in STARTS[how])],
        cwd=ROOT / service,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("how", STARTS)
def test_a_start_without_settings_names_all_that_are_missing(service: str, how: str) -> None:
    ended = start(service, how)

    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == REQUIRED[service]
    assert [line for line in lines if not line.endswith(", got nothing")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_wrong_settings_are_named_together_and_no_secret_is_shown(service: str) -> None:
    ended = start(
        service,
        "command",
        ENVIRONMENT="laptop",
        SECRET_KEY="hunter2",
        DATABASE_URL="postgres://user:hunter2@host",
        BROKER_URL="amqp://guest:hunter2@host",
        SEALING_KEYS="hunter2",
        WIRE_KEYS="hunter2",
        PEER_KEYS="hunter2",
        LOG_LEVEL="LOUD",
        HEALTH_PORT="99999",
    )

    named = {line.partition(":")[0] for line in ended.stderr.splitlines()}
    assert named >= {
        *("ENVIRONMENT", "SECRET_KEY", "DATABASE_URL", "BROKER_URL", "SEALING_KEYS"),
        *("WIRE_KEYS", "PEER_KEYS", "LOG_LEVEL", "HEALTH_PORT"),
    }
    assert "hunter2" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("settings", ["settings", "operators.settings"])
def test_the_checks_for_a_deployment_pass(service: str, settings: str) -> None:
    key = base64.urlsafe_b64encode(bytes(range(32))).decode()
    [other] = set(SERVICES) - {service}
    ended = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--settings", f"{service}.{settings}"],
        cwd=ROOT / service,
        env={
            "PATH": os.environ["PATH"],
            "SECRET_KEY": "".join(map(chr, range(ord("!"), ord("{")))),
            "DATABASE_URL": "postgres://user:hunter2-hunter2@host/name",
            "BROKER_URL": "amqps://user:hunter2-hunter2@host//",
            "SEALING_KEYS": f"k1:{key}",
            "WIRE_KEYS": f"k1:{key}",
            "PEER_KEYS": f"{other}:k1:{public(new_key())}",
            "CODE_LOOKUP_KEY": key,
            "EMAIL_URL": "smtp+tls://host",
            "EMAIL_FROM": "codes@example.org",
            "ALLOWED_HOSTS": "example.org",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.stderr == ""
    assert "no issues" in ended.stdout
