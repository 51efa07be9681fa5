"""Every command of docs/api.md works as written, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from tests_integration.harness import session
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.walkthrough import blocks_of
from tools import rest
from tools.system import programs
from tools.system.commands import ROOT

BLOCKS = blocks_of((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))


def test_the_commands_of_the_page_do_what_it_says(deployment: Deployment, tmp_path: Path) -> None:
    programs.needed("curl")
    variables = {"API": deployment.system.payment_url, "KEY": deployment.system.new_api_key()}

    steps = session.run(BLOCKS, variables, tmp_path)

    assert {step.commands: step.missing for step in steps if step.missing} == {}
    assert len(steps) == len([block for block in BLOCKS if block.language == "sh"]) - 1


def test_the_page_names_every_address_and_every_filter(deployment: Deployment) -> None:
    page = re.sub("{[a-z_]+}", "{id}", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    paths = rest.get(f"{deployment.system.payment_url}/v1/schema")["paths"]
    operations = [
        (f"{method.upper()} {re.sub('{[a-z_]+}', '{id}', path)}", operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]

    assert [name for name, _ in operations if f"| `{name}` |" not in page] == []
    parameters = [each for _, operation in operations for each in operation.get("parameters", [])]
    names = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_command_of_the_page_is_run() -> None:
    """A fence without a language would be left out."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

    assert page.count("\n```") == 2 * len(BLOCKS)
    assert "curl" not in "".join(block.text for block in BLOCKS if block.language != "sh")
