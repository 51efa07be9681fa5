"""Settings that are missing or wrong are named all at once, whichever process is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.system.commands import SERVICES

ROOT = Path(__file__).parent.parent
REQUIRED = {
    "payment_service": ["SECRET_KEY", "DATABASE_URL", "BROKER_URL", "SEALING_KEYS"],
    "student_service": [
        *("SECRET_KEY", "DATABASE_URL", "BROKER_URL", "SEALING_KEYS"),
        *("CODE_LOOKUP_KEY", "EMAIL_URL", "EMAIL_FROM"),
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
        LOG_LEVEL="LOUD",
        HEALTH_PORT="99999",
    )

    named = {line.partition(":")[0] for line in ended.stderr.splitlines()}
    assert named >= {
        *("ENVIRONMENT", "SECRET_KEY", "DATABASE_URL", "BROKER_URL", "SEALING_KEYS"),
        *("LOG_LEVEL", "HEALTH_PORT"),
    }
    assert "hunter2" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
