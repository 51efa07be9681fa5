"""A bare REST view as a contender: it writes the rows of a redemption, and does nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tools.bench.contender import RunningContender
from tools.bench.results import BARE
from tools.bench.stage import BenchStage
from tools.system.ports import LOCAL, free_port

# Not imported, because importing it configures Django.
WEB_MODULE = f"{__name__}_web"
THREADS = 4
"""As many as our web process has."""


class BareView:
    name = BARE

    def __init__(self, stage: BenchStage) -> None:
        self._stage = stage

    @contextmanager
    def running(
        self, student: str, lookup_key: str, api_key: str, codes: tuple[str, ...]
    ) -> Iterator[RunningContender]:
        """The view, alone, on a copy of a student database with these codes."""
        port = free_port()
        command = [sys.executable, "-m", "waitress", f"--threads={THREADS}"]
        command += [f"--listen={LOCAL}:{port}", f"{WEB_MODULE}:application"]
        with self._stage.copies(student=student) as copies:
            environment = {"DATABASE_URL": copies["student"], "LOOKUP_KEY": lookup_key}
            with self._stage.processes({"bare-web": command}, environment, "Serving on"):
                url = f"http://{LOCAL}:{port}"
                yield RunningContender(url, copies["student"], "", api_key, codes)
