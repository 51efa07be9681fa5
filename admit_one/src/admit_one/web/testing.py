"""For the tests of a service with an API."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from rest_framework import exceptions, serializers

from .limits import sharing
from .limits.counts import Counts


@contextmanager
def counting_alone() -> Iterator[None]:
    """In this block, requests are counted from zero, and in this process only.

    The thread that shares counts has a connection of its own: it would not see what a test has
    not committed, and would wait for the test's locks.
    """
    kept = vars(sharing).copy()
    sharing.keys, sharing.addresses, sharing.together = Counts(), Counts(), Counts()
    sharing.sharer = _Alone()
    try:
        yield
    finally:
        for name in ("keys", "addresses", "together", "sharer"):
            setattr(sharing, name, kept[name])


class _Alone(sharing.Sharer):
    def soon(self) -> None:
        """Nothing: no thread is started."""


def problem_codes(*packages: ModuleType) -> set[str]:
    """The codes of problems: of each exception, and of each call of `problem` in these packages."""
    kinds = [kind for kind in _all_of(exceptions.APIException) if not _is_invalid(kind)]
    codes = {str(kind.default_code) for kind in kinds}
    for call in _calls(packages):
        if ast.unparse(call.func).endswith(("problem", "Problem")):
            match call.args:
                case [_, _, ast.Constant(value=str(code)), *_]:
                    codes.add(code)
    return codes


def fault_codes(*packages: ModuleType) -> set[str]:
    """The codes that `errors` may list: of our fields, and of calls in these packages."""
    fields = [*_all_of(serializers.CharField), *_all_of(serializers.IntegerField)]
    own = [field for field in fields if not field.__module__.startswith("rest_framework")]
    codes = {code for field in own for code in vars(field).get("default_error_messages", {})}
    for call in _calls(packages):
        if ast.unparse(call.func).endswith(("ErrorDetail", "ValidationError")):
            codes |= {
                str(ast.literal_eval(given.value)) for given in call.keywords if given.arg == "code"
            }
    return codes | {"invalid_choice"}


def _is_invalid(kind: type) -> bool:
    return issubclass(kind, exceptions.ValidationError)  # their code is `invalid`


def _all_of(kind: type[Any]) -> Iterator[type[Any]]:
    """This class and all that are derived from it."""
    yield kind
    for derived in kind.__subclasses__():
        yield from _all_of(derived)


def _calls(packages: tuple[ModuleType, ...]) -> Iterator[ast.Call]:
    for package in packages:
        for file in Path(str(package.__file__)).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield node
