"""The whole system on one machine: starts, watches and stops every process of both services.

    with System(folder, Backends.embedded(folder)) as system:
        system.migrate()
        system.start(*PROCESSES)
        system.wait_ready()

A second instance of a process has a number in its name: `student-consumer#2`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from . import migrations
from .backends import Backends
from .commands import PROCESSES, ROOT, SERVICES, ProcessCommand, command, role_of
from .keys import Keys, new_keys
from .ports import LOCAL, Ports
from .process import Process, wait_ready

__all__ = ["PROCESSES", "SERVICES", "Backends", "CommandFailed", "Ports", "System"]

SET_OPERATOR = """
import os
from django.contrib.auth.models import User
operator, _ = User.objects.get_or_create(username=os.environ["OPERATOR_NAME"])
operator.is_active = operator.is_staff = operator.is_superuser = True
operator.set_password(os.environ["OPERATOR_PASSWORD"])
operator.save()
"""
"""`createsuperuser` can only make new ones, and `changepassword` asks a person."""

SCOPES = {
    "payment_service": ("subscriptions:read", "subscriptions:write", "codes:read", "webhooks"),
    "student_service": ("codes:redeem", "codes:operate", "codes:read", "webhooks"),
}
"""Of a new API key: all that the service offers."""

STOP_ORDER = (("web", "operators"), ("relay", "consumer", "tasks"), ("mail",))
"""First no new requests come in, then work in hand is finished; mails are accepted to the end."""

PATIENCE = 12.0
"""Seconds for a process to stop; it should need no more than 10."""

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""The variables that every process inherits; all others are settings of its service."""


class CommandFailed(Exception):
    """A management command failed; the message is its output."""


class System:
    """Both services and the mail catcher. Leaving the `with` block stops all processes."""

    def __init__(
        self,
        folder: Path,
        backends: Backends,
        *,
        ports: Ports | None = None,
        keys: Keys | None = None,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`settings` are additional environment variables, by service."""
        self.folder = folder.resolve()
        self.backends = backends
        self.ports = ports or Ports.free()
        self._keys = keys or new_keys()
        self._settings = settings or {}
        self._processes: dict[str, Process] = {}
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def payment_url(self) -> str:
        return f"http://{LOCAL}:{self.ports.payment}"

    @property
    def student_url(self) -> str:
        return f"http://{LOCAL}:{self.ports.student}"

    @property
    def urls(self) -> dict[str, str]:
        """Where each service's API is."""
        return {"payment_service": self.payment_url, "student_service": self.student_url}

    @property
    def operators_urls(self) -> dict[str, str]:
        return {
            "payment_service": f"http://{LOCAL}:{self.ports.payment_operators}",
            "student_service": f"http://{LOCAL}:{self.ports.student_operators}",
        }

    @property
    def mail_url(self) -> str:
        return f"http://{LOCAL}:{self.ports.mail}"

    def environment(self, service: str) -> dict[str, str]:
        """The environment of one service's processes, without the settings of the other."""
        backends = self.backends
        own = {
            "ENVIRONMENT": "development",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",  # says where a library written in C has crashed
            "ALLOWED_HOSTS": f"{LOCAL},localhost",
            "DATABASE_URL": backends.database_url(service),
            "BROKER_URL": backends.broker_url,
            "BROKER_PREFIX": backends.prefix,
            "API_RATE_PER_KEY": "1000000",  # a load generator has one key
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",  # receivers run on this machine
            **self._keys[service],
        }
        if backends.celery_broker_url:
            own["TASKS_BROKER_URL"] = backends.celery_broker_url
        if service == "student_service":
            own["EMAIL_URL"] = backends.email_url or f"smtp://{LOCAL}:{self.ports.smtp}"
            own["EMAIL_FROM"] = "Admit One <codes@admit-one.example>"
        return _passed_on() | own | dict(self._settings.get(service, {}))

    def migrate(self, settings: str = "settings") -> None:
        """Migrate both databases in parallel. Raises `CommandFailed`.

        "operators.settings" adds the tables of the pages for operators.
        """
        running = {
            service: self._manage(
                service, "migrate", "--no-input", "--settings", f"{service}.{settings}"
            )
            for service in SERVICES
            if not migrations.are_applied(
                self.folder, service, settings, self.backends.database_url(service)
            )
        }
        for service, migrating in running.items():
            _result(migrating)
            migrations.note_applied(self.folder, service, settings)

    def new_api_key(self, name: str = "local", service: str = "payment_service") -> str:
        create = ("api_key", "create", "--name", name, "--scope", *SCOPES[service])
        return self.manage(service, *create).split()[-1]

    def set_operator(self, name: str, password: str) -> None:
        """Make `name` a superuser of the pages of both services, with this password from now on."""
        running = [
            self._manage(
                service,
                *("shell", "--no-imports", "-c", SET_OPERATOR),
                *("--settings", f"{service}.operators.settings"),
                OPERATOR_NAME=name,
                OPERATOR_PASSWORD=password,
            )
            for service in SERVICES
        ]
        for setting in running:
            _result(setting)

    def manage(self, service: str, *arguments: str) -> str:
        """Run `manage.py` of a service; returns its output. Raises `CommandFailed`."""
        return _result(self._manage(service, *arguments))

    def _manage(self, service: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT / service,
            env=self.environment(service) | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, name: str) -> ProcessCommand:
        """How the process called `name` is started. Raises `ValueError` for an unknown name."""
        return command(name, self.ports, self.folder / "mails")

    def start(self, *names: str) -> None:
        """Start processes, without waiting until they are ready."""
        for name in names:
            if name in self.running():
                raise ValueError(f"{name} is already running")
            how = self.command(name)
            self._processes[name] = Process(
                name,
                how.arguments,
                log=self.folder / "logs" / f"{name}.log",
                is_ready=how.is_ready,
                cwd=how.cwd,
                env={
                    **(self.environment(how.service) if how.service else _passed_on()),
                    **how.environment,
                },
            )

    def wait_ready(self, *names: str, timeout: float = 300) -> None:
        """Wait until these processes, by default all, are ready. Raises `NotReady`."""
        for _ in self.as_ready(*names, timeout=timeout):
            pass

    def as_ready(self, *names: str, timeout: float = 300) -> Iterator[str]:
        """Yield the name of each of these processes, by default all, when it becomes ready."""
        processes = [self._processes[name] for name in names or self._processes]
        return (process.name for process in wait_ready(processes, timeout))

    def process(self, name: str) -> Process:
        return self._processes[name]

    def running(self) -> list[str]:
        return [name for name, each in self._processes.items() if each.exit_code is None]

    def ended(self) -> list[Process]:
        return [each for each in self._processes.values() if each.exit_code is not None]

    def kill(self, name: str) -> None:
        self._processes[name].kill()

    def stop(self, name: str, timeout: float = PATIENCE) -> int:
        """Stop a process; returns its exit code, -9 if it took longer than `timeout` seconds."""
        return self._processes[name].end(timeout)

    def close(self) -> None:
        """Stop everything in order. Another Ctrl-C kills the rest."""
        patience = PATIENCE
        for roles in STOP_ORDER:
            leaving = [self._processes[name] for name in self.running() if role_of(name) in roles]
            for process in leaving:
                process.signal(signal.SIGTERM)
            for process in leaving:
                try:
                    process.wait_or_kill(patience)
                except KeyboardInterrupt:
                    patience = 0.0


def _result(running: subprocess.Popen[str]) -> str:
    output, errors = running.communicate()
    if running.returncode:
        raise CommandFailed(f"{running.args!r} failed:\n{output}{errors}")
    return output


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
