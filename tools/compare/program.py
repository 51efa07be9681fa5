"""A contender's program: put together from its folders, and the lines that its user writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from .contenders import Contender

PROGRAMS = Path(__file__).with_name("programs")
NOT_COUNTED = {"models.py"}
"""The two tables are the same for all."""


def copy(contender: Contender, target: Path) -> None:
    """Put the program into `target`; files of a later folder replace those of an earlier one."""
    for folder in contender.folders:
        shutil.copytree(PROGRAMS / folder, target, dirs_exist_ok=True)


def lines(contender: Contender) -> int:
    """Lines that one writes: neither blank nor a comment, in the files that are in force."""
    files: dict[Path, Path] = {}
    for folder in contender.folders[1:]:  # the first is what all have in common
        for file in sorted((PROGRAMS / folder).rglob("*.py")):
            files[file.relative_to(PROGRAMS / folder)] = file
    return sum(_written(file) for file in files.values() if file.name not in NOT_COUNTED)


def _written(file: Path) -> int:
    stripped = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in stripped)
