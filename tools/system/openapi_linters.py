"""The linters that readers of an API's description run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .commands import ROOT
from .programs import missing

NPM = ROOT / "var" / "npm" / "node_modules" / ".bin"

LINTERS = {
    "redocly": ["lint", "--extends=recommended-strict"],
    "spectral": ["lint", "--ruleset=oas.yaml", "--fail-severity=hint"],
}
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def installed(linter: str) -> Path:
    """The linter's program. In CI it must be there."""
    program = NPM / linter
    if not program.exists():
        missing(f"expected {linter}, which `make npm` installs; it needs Node.js and npm")
    return program


def lint(linter: str, folder: Path, description: bytes) -> subprocess.CompletedProcess[str]:
    """Run a linter over an OpenAPI description, in an empty folder."""
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
