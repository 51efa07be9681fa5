"""A private PgBouncer in front of a PostgreSQL, which can be killed and restarted."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from tools.system.gate import through
from tools.system.ports import LOCAL, free_port
from tools.system.process import NotReady, Process

from .debian_packages import unpacked
from .found import NotHere, temporary_folder
from .postgresql_cluster import unprivileged

PACKAGE = "pgbouncer"
PROGRAM = "usr/sbin/pgbouncer"


class Pooler:
    """One PgBouncer on a free port, for every database of the server at `server_url`.

    All settings but the mode and `settings`, lines for its configuration, are PgBouncer's defaults.
    Raises `NotHere` if there is none or if it does not start.
    """

    def __init__(
        self, stack: ExitStack, server_url: str, mode: str = "session", *, settings: str = ""
    ) -> None:
        self._folder = temporary_folder(stack, "pgbouncer")
        self._folder.chmod(0o755)  # for the other user
        self._server = urlsplit(server_url)
        self._port = free_port()
        self._program, self._environment = _program(stack, self._folder)
        self._process: Process | None = None
        self._configure(mode, settings)
        stack.callback(self.kill)
        try:
            self.start()
            self.wait_ready()
        except NotReady as error:
            raise NotHere(str(error)) from None

    def way_to(self, url: str) -> str:
        """`url`, which must be on that server, through this pooler."""
        return through(self._port, url)

    def start(self) -> None:
        """Start it, without waiting for it."""
        self._process = Process(
            "pgbouncer",
            [str(self._program), str(self._folder / "pgbouncer.ini")],
            log=self._folder / "log",
            cwd=self._folder,
            env=self._environment,
            user=unprivileged(),
            is_ready=lambda _: self._answers(),
        )

    def wait_ready(self, timeout: float = 30) -> None:
        """Wait until it answers. Raises `NotReady`."""
        if self._process is None:
            raise ValueError("pgbouncer: expected to be started before it is waited for")
        self._process.until_ready(timeout)

    def kill(self) -> None:
        """Kill it; does nothing if it is down."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def reconnect(self) -> None:
        """Replace its connections to the server, as after a change of a role's settings."""
        self._console("RECONNECT")

    def _answers(self) -> bool:
        try:
            self._console("SHOW VERSION")
        except psycopg.OperationalError:
            return False
        return True

    def _console(self, command: str) -> None:
        console = through(self._port, self._server._replace(path="/pgbouncer").geturl())
        with psycopg.connect(console, autocommit=True, connect_timeout=3) as connection:
            psycopg.ClientCursor(connection).execute(command)

    def _configure(self, mode: str, more: str) -> None:
        server, folder = self._server, self._folder
        user, password = unquote(server.username or ""), unquote(server.password or "")
        (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n"
            f"* = host={server.hostname} port={server.port or 5432}\n"
            f"[pgbouncer]\n"
            f"listen_addr = {LOCAL}\n"
            f"listen_port = {self._port}\n"
            f"unix_socket_dir =\n"
            f"auth_type = trust\n"
            f"auth_file = {folder / 'users.txt'}\n"
            f"admin_users = {user}\n"
            f"pool_mode = {mode}\n"
            f"{more}"
        )


def _program(stack: ExitStack, folder: Path) -> tuple[Path, dict[str, str]]:
    """The program, and the environment that it needs. Raises `NotHere`."""
    environment = {"PATH": os.environ["PATH"]}
    installed = shutil.which(PACKAGE) or shutil.which(f"/{PROGRAM}")
    if installed:
        return Path(installed), environment
    try:
        root = unpacked(stack, PACKAGE, PROGRAM)
    except NotHere as reason:
        raise NotHere(f"no PgBouncer was found (apt install pgbouncer): {reason}") from None
    # PgBouncer refuses to run as root, and another user may not be able to read our cache.
    libraries = folder / "libraries"
    libraries.mkdir()
    for library in root.glob("usr/lib/*/*.so*"):
        shutil.copy(library, libraries)
    program = Path(shutil.copy(root / PROGRAM, folder))
    return program, environment | {"LD_LIBRARY_PATH": str(libraries)}
