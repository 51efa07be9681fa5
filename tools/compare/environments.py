"""A virtual environment for each contender, installed from the package index."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

from tools.system.commands import ROOT

from .contender import Contender


class CannotInstall(Exception):
    """A contender cannot be installed; the message is the end of the installer's output."""


def python_of(contender: Contender, folder: Path) -> Path:
    """The Python of the contender's environment, created if needed. Raises `CannotInstall`."""
    wanted = " ".join((*contender.packages, *contender.checkout))
    environment = folder / f"venv-{zlib.crc32(wanted.encode()):08x}"
    python = environment / "bin" / "python"
    if not python.exists():
        _uv("venv", "--python", sys.executable, str(environment))
        checkout = [f"{ROOT}/{name}" for name in contender.checkout]
        _uv("pip", "install", "--python", str(python), *contender.packages, *checkout)
    return python


def versions(python: Path) -> dict[str, str]:
    """The versions of all packages in an environment."""
    listed = _uv("pip", "list", "--format", "json", "--python", str(python))
    return {package["name"]: package["version"] for package in json.loads(listed)}


def _uv(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", "--no-config", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise CannotInstall(" ".join(done.stderr.split())[-300:])
    return done.stdout
