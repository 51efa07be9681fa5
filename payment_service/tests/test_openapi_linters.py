"""The linters that our readers' tools run find nothing in the API's description."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from django.test import Client

NPM = Path(__file__).parents[2] / "var" / "npm" / "node_modules" / ".bin"

LINTERS = {
    "redocly": ["lint", "--extends=recommended-strict"],
    "spectral": ["lint", "--ruleset=oas.yaml", "--fail-severity=hint"],
}
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def installed(linter: str) -> Path:
    """The linter's program. In CI it must be there."""
    program = NPM / linter
    if not program.exists():
        missing = f"expected {linter}, which `make npm` installs; it needs Node.js and npm"
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return program


def lint(linter: str, folder: Path, description: bytes) -> subprocess.CompletedProcess[str]:
    (folder / "oas.yaml").write_text('extends: ["spectral:oas"]\n')
    (folder / "openapi.json").write_bytes(description)
    return subprocess.run(
        [installed(linter), *LINTERS[linter], "openapi.json"],
        cwd=folder,
        env={**os.environ, **QUIET},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_nothing_in_the_description(
    client: Client, tmp_path: Path, linter: str
) -> None:
    ran = lint(linter, tmp_path, client.get("/v1/schema").content)

    assert ran.returncode == 0, ran.stdout
    assert "warning" not in ran.stdout


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_an_example_that_does_not_fit(
    client: Client, tmp_path: Path, linter: str
) -> None:
    description = client.get("/v1/schema").content
    wrong = re.sub(rb'"amount": *4900\b', b'"amount":"4900"', description)
    ran = lint(linter, tmp_path, wrong)

    assert ran.returncode != 0
    assert "amount" in ran.stdout
