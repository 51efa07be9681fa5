"""Puts a contender's program together from its folders, and counts its lines."""

from __future__ import annotations

import shutil
from pathlib import Path

from .contender import Contender

PROGRAMS = Path(__file__).with_name("programs")
NOT_COUNTED = {"models.py"}
"""The tables are the same for all."""


def copy(contender: Contender, target: Path) -> None:
    """Copy the program to `target`; files of a later folder replace those of an earlier one."""
    for folder in contender.folders:
        shutil.copytree(PROGRAMS / folder, target, dirs_exist_ok=True)


def lines(contender: Contender) -> int:
    """The lines that a user writes, without blank lines, comments and replaced files."""
    files: dict[Path, Path] = {}
    for folder in contender.folders[1:]:  # the first is common to all
        for file in sorted((PROGRAMS / folder).rglob("*.py")):
            files[file.relative_to(PROGRAMS / folder)] = file
    return sum(_written(file) for file in files.values() if file.name not in NOT_COUNTED)


def _written(file: Path) -> int:
    stripped = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in stripped)
