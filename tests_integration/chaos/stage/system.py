"""The system under chaos: its processes can be made to die at their crash points."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests_integration.harness.deployment import SETTINGS
from tools.system.backends import Backends
from tools.system.commands import ROOT, ProcessCommand
from tools.system.keys import new_keys
from tools.system.system import SERVICES, System

from .mail_server import Mode

SHOP = "shop"
"""The API client that owns what Stripe reports."""


class ChaosSystem(System):
    """Every process is a `patched_process`, all with the planted `bug` if there is one."""

    def __init__(
        self,
        folder: Path,
        backends: Backends,
        bug: str = "",
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        given = settings or {}
        stripe = {
            "STRIPE_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(24)}",
            "STRIPE_CLIENT": SHOP,
        }
        own = {
            service: {**SETTINGS.get(service, {}), **given.get(service, {})} for service in SERVICES
        }
        own["payment_service"] |= stripe
        super().__init__(folder, backends, keys=new_keys(), settings=own)
        self._bug = bug
        self.mail_mode = Mode(self.folder)
        (self.folder / "armed").mkdir(exist_ok=True)

    def command(self, name: str) -> ProcessCommand:
        how = super().command(name)
        program, *arguments = how.arguments
        if name == "mail":
            server = [program, "-m", "tests_integration.chaos.stage.mail_server", str(self.folder)]
            ports = [str(self.ports.smtp), str(self.ports.mail)]
            return replace(how, arguments=[*server, *ports])
        child = [
            sys.executable,
            "-m",
            "tests_integration.chaos.stage.patched_process",
            str(self.folder),
            name,
        ]
        return replace(
            how,
            arguments=[*child, self._bug or "-", *arguments],
            environment={"PYTHONPATH": str(ROOT)},
        )
