"""Postfix's `smtp-sink`: a mail server that takes every mail at once, and keeps none."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import ExitStack
from pathlib import Path

from tools.system.ports import LOCAL, free_port
from tools.system.process import NotReady, Process

from .debian_packages import unpacked
from .found import NotHere, temporary_folder
from .postgresql_cluster import unprivileged

PACKAGE = "postfix"
PROGRAM = "usr/sbin/smtp-sink"
BACKLOG = 100
"""Connections that wait to be accepted."""


def started(stack: ExitStack) -> str:
    """The URL of one on a free port; it ends with the stack. Raises `NotHere`."""
    folder = temporary_folder(stack, "smtp-sink")
    folder.chmod(0o755)  # for the other user
    program, environment = _program(stack, folder)
    port = free_port()
    process = Process(
        "smtp-sink",
        [str(program), f"{LOCAL}:{port}", str(BACKLOG)],
        log=folder / "log",
        cwd=folder,
        env=environment,
        user=unprivileged(),
        is_ready=lambda _: _accepts(port),
    )
    stack.callback(process.kill)
    try:
        process.until_ready(10)
    except NotReady as error:
        raise NotHere(str(error)) from None
    return f"smtp://{LOCAL}:{port}"


def _program(stack: ExitStack, folder: Path) -> tuple[Path, dict[str, str]]:
    """The program, and the environment that it needs. Raises `NotHere`."""
    environment = {"PATH": os.environ["PATH"]}
    if installed := shutil.which(f"/{PROGRAM}"):
        return Path(installed), environment
    root = unpacked(stack, PACKAGE, PROGRAM)
    # It refuses to run as root, and another user may not be able to read our cache.
    libraries = folder / "libraries"
    libraries.mkdir()
    for pattern in ("usr/lib/postfix/*.so*", "usr/lib/*/*.so*", "lib/*/*.so*"):
        for library in root.glob(pattern):
            shutil.copy(library, libraries)
    program = Path(shutil.copy(root / PROGRAM, folder))
    return program, environment | {"LD_LIBRARY_PATH": str(libraries)}


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOCAL, port), timeout=1).close()
    except OSError:
        return False
    return True
