"""The linters that our readers' tools run find nothing in the API's description."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from tools.system.openapi_linters import LINTERS, lint


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_nothing_in_the_description(
    client: Client, tmp_path: Path, linter: str
) -> None:
    ran = lint(linter, tmp_path, client.get("/v1/schema").content)

    assert ran.returncode == 0, ran.stdout
    assert "warning" not in ran.stdout
