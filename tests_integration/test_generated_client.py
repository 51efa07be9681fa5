"""A client that is generated from the API's description lives the life of a subscription."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests_integration.harness.deployment import Deployment
from tools import rest

LIFE = Path(__file__).with_name("harness") / "generated_life.py"


def generate(url: str, folder: Path) -> Path:
    """A package made of the description at `url`. Any warning of the generator fails."""
    description = folder / "openapi.json"
    description.write_text(json.dumps(rest.get(f"{url}/v1/schema")))
    generator = Path(sys.executable).with_name("openapi-python-client")
    package = folder / "payments_client"
    done = subprocess.run(
        [
            *(generator, "generate", "--path", description, "--fail-on-warning"),
            *("--meta", "none", "--output-path", package),
        ],
        cwd=folder,
        env={**os.environ, "PATH": f"{generator.parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return package


def test_a_generated_client_lives_the_life_of_a_subscription(
    deployment: Deployment, tmp_path: Path
) -> None:
    url = deployment.system.payment_url
    generate(url, tmp_path)

    done = subprocess.run(
        [sys.executable, "-W", "error", LIFE, url, deployment.system.new_api_key("generated")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        "pending",
        "repeated",
        "active",
        "listed",
        "refused",
        "cancelled",
        "revoked",
    ]
