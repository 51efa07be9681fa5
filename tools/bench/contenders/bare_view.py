"""Bare REST views as a contender: they write the rows of a POST, and do nothing else."""

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
        self, database: str, api_key: str, codes: tuple[str, ...] = (), lookup_key: str = ""
    ) -> Iterator[RunningContender]:
        """The views, alone, on a copy of a service's database, with these codes in it."""
        port = free_port()
        command = [sys.executable, "-m", "waitress", f"--threads={THREADS}"]
        command += [f"--listen={LOCAL}:{port}", f"{WEB_MODULE}:application"]
        with self._stage.copies(bare=database) as copies:
            environment = {"DATABASE_URL": copies["bare"], "LOOKUP_KEY": lookup_key}
            with self._stage.processes({"bare-web": command}, environment, "Serving on"):
                url = f"http://{LOCAL}:{port}"
                yield RunningContender(url, copies["bare"], "", api_key, codes)
