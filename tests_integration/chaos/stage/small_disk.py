"""A small file system that can be filled up completely (Linux, root)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PIECE = bytes(64 * 1024)


class NoDisk(Exception):
    """No file system can be mounted; the message says why."""


@dataclass(frozen=True)
class SmallDisk:
    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        # Unbuffered, so that it fails here and not when the file is closed.
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(PIECE):
                pass

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """A new file system in memory. Raises `NoDisk` if it cannot be mounted."""
    with tempfile.TemporaryDirectory(prefix="admit-one-disk-") as folder:
        error = _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder)
        if error:
            raise NoDisk(f"a disk of {megabytes} MB cannot be mounted here: {error}")
        try:
            yield SmallDisk(Path(folder))
        finally:
            _run("umount", "--lazy", folder)


def _run(*command: str) -> str:
    """Run a command; returns its error message, empty if it worked."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return f"there is no {command[0]}"
    error = done.stderr.strip() or f"exit code {done.returncode}"
    return error.splitlines()[0] if done.returncode else ""
