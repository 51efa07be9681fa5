"""Clients generated from both APIs' descriptions live the life of a subscription and its code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests_integration.harness.deployment import Deployment
from tools import rest

LIFE = Path(__file__).with_name("harness") / "generated_life.py"


def generate(url: str, package: Path) -> None:
    """Make a package of the description at `url`. Any warning of the generator fails."""
    description = package.with_suffix(".json")
    description.write_text(json.dumps(rest.get(f"{url}/v1/schema")))
    generator = Path(sys.executable).with_name("openapi-python-client")
    done = subprocess.run(
        [
            *(generator, "generate", "--path", description, "--fail-on-warning"),
            *("--meta", "none", "--output-path", package),
        ],
        cwd=package.parent,
        env={**os.environ, "PATH": f"{generator.parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_generated_clients_live_the_life_of_a_subscription_and_its_code(
    deployment: Deployment, tmp_path: Path
) -> None:
    system = deployment.system
    generate(system.payment_url, tmp_path / "payments_client")
    generate(system.student_url, tmp_path / "codes_client")
    payments = (system.payment_url, system.new_api_key("generated"))
    codes = (system.student_url, system.new_api_key("generated", "student_service"))

    done = subprocess.run(
        [sys.executable, "-W", "error", LIFE, *payments, *codes],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        *("pending", "repeated", "active", "listed", "refused", "cancelled", "revoked"),
        *("redeemed", "reinstated", "replaced", "renewed", "past_due", "resent", "refunded"),
    ]
