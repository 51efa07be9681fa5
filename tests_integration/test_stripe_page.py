"""Every command of docs/stripe.md works as written, and prints what the page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests_integration.harness import session
from tests_integration.harness.walkthrough import blocks_of
from tools.system import programs
from tools.system.backends import Backends
from tools.system.commands import ROOT
from tools.system.system import System

PAGE = (ROOT / "docs" / "stripe.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(PAGE)
SETTINGS = {
    "STRIPE_WEBHOOK_SECRETS": "whsec_0123456789abcdefghijklmnopqrstuvwxyz",
    "STRIPE_CLIENT": "shop",
}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    backends = Backends.embedded(tmp_path)
    with System(tmp_path, backends, settings={"payment_service": SETTINGS}) as system:
        system.migrate()
        system.start(*(f"{side}-{role}" for side in ("payment", "student") for role in ROLES))
        for _ in system.as_ready():
            pass
        yield system


ROLES = ("web", "relay", "consumer")


def test_the_commands_of_the_page_do_what_it_says(system: System, tmp_path: Path) -> None:
    programs.needed("curl")
    environment = system.environment("payment_service")
    given = [f"{name}={value}" for name, value in environment.items()]
    folder = ROOT / "payment_service"
    manage = ["env", "-C", str(folder), *given, sys.executable, "manage.py"]
    assert not [each for each in manage if len(each.split()) != 1]
    variables = {
        "MANAGE": " ".join(manage),
        "API": system.payment_url,
        "KEY": system.new_api_key("shop"),
    }

    steps = session.run(BLOCKS, variables, tmp_path)

    assert {step.commands: step.missing for step in steps if step.missing} == {}
    assert len(steps) == len([block for block in BLOCKS if block.language == "sh"]) - 1
