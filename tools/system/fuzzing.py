"""Schemathesis, which makes requests of an API's description, valid ones and others.

FUZZ_EXAMPLES=1000 tries more requests for each operation, and FUZZ_SEED others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .web_process import running

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
SEED = os.environ.get("FUZZ_SEED", "20261128")

SECONDS = max(120, 3 * EXAMPLES)
"""That a test with `fuzz` may take."""

ENVIRONMENT = {
    "ALLOWED_HOSTS": "127.0.0.1",
    "API_RATE_PER_KEY": "1000000",
    "API_RATE_PER_ADDRESS": "1000000",
}


def fuzz(key: str, *, tests: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Fuzz a web process of the service whose tests run, with this API key, in an empty folder.

    `tests` holds `schemathesis.toml` and `schemathesis_hooks.py`: what the description cannot say.
    """
    program = Path(sys.executable).with_name("st")
    with running("", **ENVIRONMENT) as web:
        return subprocess.run(
            [
                *(program, "--config-file", tests / "schemathesis.toml"),
                *("run", f"http://127.0.0.1:{web.port}/v1/schema"),
                *("--header", f"Authorization: Bearer {key}"),
                *("--checks", "all", "--mode", "all", "--continue-on-failure"),
                *("--seed", SEED, "--max-examples", str(EXAMPLES), "--output-truncate", "false"),
            ],
            cwd=folder,
            env={**os.environ, "HOOKS": str(tests / "schemathesis_hooks.py")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
