"""Follows the logs of the processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


class Follower:
    """Follows the log files of a folder from now on."""

    def __init__(self, folder: Path) -> None:
        self._read_to = {log: log.stat().st_size for log in sorted(folder.glob("*.log"))}

    def new_lines(self) -> Iterator[tuple[str, str]]:
        """Each new complete line, with the name of its process."""
        for log, read_to in self._read_to.items():
            with log.open("rb") as file:
                file.seek(read_to)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read_to[log] = read_to + len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                yield log.stem, line
