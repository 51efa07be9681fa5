"""A small disk of its own, which can really be full (Linux, root)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PIECE = bytes(64 * 1024)


class NoDisk(Exception):
    """No file system of its own can be had here; the message says why."""


@dataclass(frozen=True)
class SmallDisk:
    """`folder` is on the disk; a file of somebody else's fills it."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "somebody-else"

    def fill(self) -> None:
        """Leave no byte free."""
        # Unbuffered, so that it fails here and not when the file is closed.
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(PIECE):
                pass

    def free(self) -> None:
        """Take the other file away."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """A new file system in memory. Raises `NoDisk` where none may be mounted."""
    with tempfile.TemporaryDirectory(prefix="admit-one-disk-") as folder:
        mounted = _ran("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder)
        if mounted:
            raise NoDisk(f"a disk of {megabytes} MB cannot be mounted here: {mounted}")
        try:
            yield SmallDisk(Path(folder))
        finally:
            _ran("umount", "--lazy", folder)


def _ran(*command: str) -> str:
    """What a command complained of; empty if it worked."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return f"there is no {command[0]}"
    complaint = done.stderr.strip() or f"exit code {done.returncode}"
    return complaint.splitlines()[0] if done.returncode else ""
