"""The linters that our readers' tools run find nothing in the API's description."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_an_example_that_does_not_fit(
    client: Client, tmp_path: Path, linter: str
) -> None:
    description = client.get("/v1/schema").content
    wrong = re.sub(rb'"amount": *4900\b', b'"amount":"4900"', description)
    ran = lint(linter, tmp_path, wrong)

    assert ran.returncode != 0
    assert "amount" in ran.stdout
