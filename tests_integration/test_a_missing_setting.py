"""A setting that is missing or wrong is named in one line, with what is expected."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.system.commands import SERVICES

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("service", SERVICES)
def test_a_command_without_its_settings_says_which_one_it_misses(service: str) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "relay_outbox"],
        cwd=ROOT / service,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr == "SECRET_KEY: expected a value (see .env.example), got nothing\n"
