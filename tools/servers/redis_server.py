"""A private Redis, which can be killed, stopped and started again."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from tools.system.ports import LOCAL, answers, free_port
from tools.system.process import Process

from .found import NotHere, temporary_folder


class RedisServer:
    """A Redis that keeps nothing, on a free port. Raises `NotHere` if none is installed."""

    def __init__(self, stack: ExitStack) -> None:
        self._program = installed()
        self._folder = temporary_folder(stack, "redis")
        self._port = free_port()
        self.password = f"@/:#%{secrets.token_urlsafe()}"  # as only a URL with quotes can hold
        self.url = f"redis://:{quote(self.password, safe='')}@{LOCAL}:{self._port}/0"
        self._process: Process | None = None
        stack.callback(self.kill)
        self.start()

    @property
    def process(self) -> Process:
        """Raises `RuntimeError` while it is not running."""
        if self._process is None:
            raise RuntimeError("the Redis is not running")
        return self._process

    def start(self) -> None:
        """Start it, empty, and wait until it is ready."""
        self._process = Process(
            "redis",
            [
                str(self._program),
                *("--port", str(self._port), "--bind", LOCAL, "--requirepass", self.password),
                *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
            ],
            log=self._folder / "redis.log",
            is_ready=lambda _: answers(self._port),
        )
        self._process.until_ready()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def installed() -> Path:
    """The program. Raises `NotHere`."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotHere("there is no redis-server on the PATH; install the package redis-server")
    return Path(program)


def skip_without_redis() -> None:
    """For tests. In CI it must be there."""
    try:
        installed()
    except NotHere as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))
