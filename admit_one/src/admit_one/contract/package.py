"""A contract package as a user wrote it: found by name, with the files that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .errors import ContractError
from .event import Event
from .registry import EVENTS
from .topology import Topology


@dataclass(frozen=True)
class ContractPackage:
    """The contract in the Python package `name`, imported with all its events."""

    name: str

    def __post_init__(self) -> None:
        """Raises `ContractError` if there is no such package, or no `TOPOLOGY` in it."""
        _ = self.topology

    @property
    def topology(self) -> Topology:
        """Who publishes and who handles. Raises `ContractError`."""
        try:
            module = import_module(f"{self.name}.topology")
        except ModuleNotFoundError as error:
            if error.name not in {self.name, f"{self.name}.topology"}:
                raise
            raise ContractError(f"{self.name}: expected a package with topology.py") from None
        topology = getattr(module, "TOPOLOGY", None)
        if not isinstance(topology, Topology):
            raise ContractError(f"{self.name}.topology: expected TOPOLOGY = Topology(…)")
        return topology

    @property
    def events(self) -> list[type[Event]]:
        """The event classes that this package defines."""
        return [
            event
            for event in EVENTS.values()
            if event.__module__ == self.name or event.__module__.startswith(f"{self.name}.")
        ]

    def schema_path(self, event: type[Event]) -> Path:
        return self._folder / "schemas" / f"{event.type}.schema.json"

    def golden_path(self, event: type[Event]) -> Path:
        return self._folder / "golden" / f"{event.type}.json"

    def golden(self, event: type[Event]) -> bytes:
        """The golden message of `event`. Raises `ContractError` if there is none."""
        try:
            return self.golden_path(event).read_bytes()
        except FileNotFoundError:
            fix = f"python -m admit_one.contract write {self.name}"
            raise ContractError(f"{event.type} has no golden message: {fix}") from None

    @property
    def _folder(self) -> Path:
        # The module's folder: a namespace package has none of its own.
        return Path(str(import_module(f"{self.name}.topology").__file__)).parent
