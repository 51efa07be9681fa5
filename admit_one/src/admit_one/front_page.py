"""A package's front page: its public names, each imported from its module on first use.

Django forbids importing models before its apps are ready, and unused modules cost start-up time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazily(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A `__getattr__` for `package` that imports `names`, given by module, on first use.

    For type checkers, the package imports the same names under `TYPE_CHECKING`.
    """
    modules = {name: module for module, those in names.items() for name in those}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name], package), name)

    return load
