"""The system under chaos: each of its processes can be made to die at the worst moments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tools.system.backends import Backends
from tools.system.commands import ROOT, Command
from tools.system.keys import new_keys
from tools.system.system import System

from .mail_server import Moods
from .moments import trap

SETTINGS = {
    # A mail whose worker died is claimed anew after twice this time.
    "student_service": {"EMAIL_TIMEOUT": "2"},
}


class ChaosSystem(System):
    """Every process is a `child`, all of them with the planted `bug` if there is one."""

    def __init__(
        self,
        folder: Path,
        backends: Backends,
        bug: str = "",
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        own = {**SETTINGS, **(settings or {})}
        super().__init__(folder, backends, keys=new_keys(), settings=own)
        self._bug = bug
        self.moods = Moods(self.folder)
        (self.folder / "traps").mkdir(exist_ok=True)

    def command(self, name: str) -> Command:
        how = super().command(name)
        program, *arguments = how.arguments
        if name == "mail":
            server = [program, "-m", "tests_integration.chaos.stage.mail_server", str(self.folder)]
            ports = [str(self.ports.smtp), str(self.ports.mail)]
            return replace(how, arguments=[*server, *ports])
        child = [
            sys.executable,
            "-m",
            "tests_integration.chaos.stage.child",
            str(self.folder),
            name,
        ]
        return replace(
            how,
            arguments=[*child, self._bug or "-", *arguments],
            environment={"PYTHONPATH": str(ROOT)},
        )

    def lay_trap(self, name: str, moment: str) -> None:
        """Let the process die when it comes to this moment next."""
        trap(self.folder, name, moment).touch()

    def take_trap(self, name: str, moment: str) -> bool:
        """Take the trap away again; returns whether the process went into it."""
        try:
            trap(self.folder, name, moment).unlink()
        except FileNotFoundError:
            return True
        return False
