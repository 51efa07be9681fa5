"""Schemathesis, which makes requests of the API's description, finds nothing wrong with the API.

FUZZ_EXAMPLES=1000 tries more requests for each operation, and FUZZ_SEED others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Api
from tests.web_process.process import running

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
SEED = os.environ.get("FUZZ_SEED", "20261128")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(max(120, 3 * EXAMPLES)),
]

HERE = Path(__file__).parent

ENVIRONMENT = {
    "ALLOWED_HOSTS": "127.0.0.1",
    "API_RATE_PER_KEY": "1000000",
    "API_RATE_PER_ADDRESS": "1000000",
}


def test_nothing_differs_from_the_description_whatever_is_sent(shop: Api, tmp_path: Path) -> None:
    with running("", **ENVIRONMENT) as web:
        origin = f"http://127.0.0.1:{web.port}"
        ran = subprocess.run(
            [
                *(
                    Path(sys.executable).with_name("st"),
                    "--config-file",
                    HERE / "schemathesis.toml",
                ),
                *("run", f"{origin}/v1/schema"),
                *("--header", f"Authorization: Bearer {shop.key}"),
                *(
                    "--output-truncate",
                    "false",
                    "--checks",
                    "all",
                    "--mode",
                    "all",
                    "--continue-on-failure",
                ),
                *("--seed", SEED, "--max-examples", str(EXAMPLES)),
            ],
            cwd=tmp_path,
            env={**os.environ, "HOOKS": str(HERE / "schemathesis_hooks.py")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout
