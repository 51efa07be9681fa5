"""How each process of the system is started, and how to tell that it is ready."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .ports import LOCAL, Ports
from .process import Process, says

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("payment_service", "student_service")


@dataclass(frozen=True)
class ProcessCommand:
    """`service` is empty for the mail catcher."""

    service: str
    cwd: Path
    arguments: list[str]
    is_ready: Callable[[Process], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    """In addition to the settings of its service."""


def role_of(name: str) -> str:
    """The role of a process: `student-consumer#2` is a consumer."""
    return name.partition("#")[0].rpartition("-")[2]


def command(name: str, ports: Ports, mails: Path) -> ProcessCommand:
    """How to start the process called `name`. Raises `ValueError` for an unknown name."""
    side, role = name.partition("-")[0], role_of(name)
    if role == "mail":
        return ProcessCommand("", ROOT, _mail(ports, mails), says(" mail ready"))
    service = f"{side}_service"
    if service not in SERVICES or role not in _ROLES:
        raise ValueError(
            f"expected mail, or payment or student, a hyphen and one of {', '.join(_ROLES)}; "
            f"got {name!r}"
        )
    port: int = getattr(ports, side if role != "operators" else f"{side}_operators")
    is_ready = _answers_ready(port) if role in _WEB else says(f" {role} ready")
    return ProcessCommand(
        service, ROOT / service, [sys.executable, *_ROLES[role](service, port)], is_ready
    )


def _web(port: int, *settings: str) -> list[str]:
    return ["manage.py", "serve_web", "--host", LOCAL, "--port", str(port), *settings]


def _tasks(service: str, _: int) -> list[str]:
    # Threads, so that no grandchildren are left behind; one worker needs no gossip and mingle.
    worker = ["-m", "celery", "-A", service, "worker", "--beat", "--pool", "threads"]
    return [*worker, "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]


_ROLES: dict[str, Callable[[str, int], list[str]]] = {
    "web": lambda _, port: _web(port),
    "relay": lambda *_: ["manage.py", "relay_outbox"],
    "consumer": lambda *_: ["manage.py", "consume_events"],
    "tasks": _tasks,
    "operators": lambda service, port: _web(port, "--settings", f"{service}.operators.settings"),
}
_WEB = ("web", "operators")

OPERATORS = ("payment-operators", "student-operators")
"""The optional pages for operators."""

PROCESSES = (
    "mail",
    *(
        f"{side}-{role}"
        for side in ("payment", "student")
        for role in _ROLES
        if role != "operators"
    ),
)


def _mail(ports: Ports, mails: Path) -> list[str]:
    listen = ["--smtp-port", str(ports.smtp), "--http-port", str(ports.mail)]
    return [sys.executable, "-m", "tools.mail_catcher", *listen, "--folder", str(mails)]


def _answers_ready(port: int) -> Callable[[Process], bool]:
    def is_ready(_: Process) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOCAL}:{port}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return is_ready
