"""Servers out of Debian's packages, without root and without installing them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from .found import NotHere, must_be_executable, temporary_folder

OS_RELEASE = Path("/etc/os-release")
ODD = " '\"#%$&;()\\"
"""The scripts of Erlang and RabbitMQ break in a folder with one of these in its name."""


def unpacked(
    stack: ExitStack,
    package: str,
    program: str,
    adapt: Callable[[Path, Path], None] = lambda *_: None,
) -> Path:
    """The folder with the files of `package`, which has `program`, and what this machine lacks.

    apt downloads the packages, and checks them against Debian's signatures. They are kept in the
    user's cache, or for this run where it cannot be used.
    `adapt(new, root)` may change files in `new`, which is then renamed to `root`.
    Raises `NotHere` where there is no apt, or the packages cannot be had.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NotHere("this is not Debian or Ubuntu: there is no apt-get")
    cache = _cache(stack, package)
    root = cache / "root"
    if not root.exists():
        print(f"Fetching {package} from Debian's packages into {cache}. ", end="")
        print("This happens once and takes up to a minute.", flush=True)
        _download(cache, package)
        _unpack(cache, root, adapt)
    must_be_executable(root / program)
    return root


def _cache(stack: ExitStack, package: str) -> Path:
    try:
        wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = wanted / "admit-one" / f"{package}-{_release()}"
        if str(folder).isascii() and not any(sign in str(folder) for sign in ODD):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    except (OSError, RuntimeError):
        pass  # a home that cannot be written, or none
    return temporary_folder(stack, package)


def _release() -> str:
    """Packages of one release do not run on another."""
    fields = dict(line.split("=", 1) for line in OS_RELEASE.read_text().splitlines() if "=" in line)
    return "-".join(fields.get(name, "").strip('"') for name in ("ID", "VERSION_ID"))


def _download(cache: Path, package: str) -> None:
    for folder in ("lists/partial", "debs/partial"):
        (cache / folder).mkdir(parents=True, exist_ok=True)
    own = {
        "Dir::State::lists": cache / "lists",
        "Dir::Cache": cache,
        "Dir::Cache::archives": cache / "debs",
        # The system's lock is root's, and the sandbox's user may not write into the cache.
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in own.items())]
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--no-install-recommends", "--download-only", package])


def _unpack(cache: Path, root: Path, adapt: Callable[[Path, Path], None]) -> None:
    """Into a folder beside it, which takes the name when it is whole."""
    new = cache / f"root.{os.getpid()}"
    for package in sorted((cache / "debs").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(new)])
    adapt(new, root)
    try:
        new.rename(root)
    except OSError:  # another run was faster
        shutil.rmtree(new)
    shutil.rmtree(cache / "debs", ignore_errors=True)
    shutil.rmtree(cache / "lists", ignore_errors=True)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotHere(f"{command[0]} failed: {' '.join(reason)}")
