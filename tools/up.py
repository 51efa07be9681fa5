"""Run everything in containers: both services, RabbitMQ, two PostgreSQL servers and a mailbox.

    make up                         build, start, and wait until everything is healthy
    docker compose logs --follow    the logs of all processes
    docker compose down             stop everything (--volumes: delete the data too)

Exit codes: 0 everything is healthy; 1 something did not start; 2 Docker is not available.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools import command_line

from .system.commands import ROOT
from .system.keys import new_key, public, write_private

NO_DOCKER = """\
make up needs Docker with the compose plugin and a running daemon: {reason}.
Without Docker, `make demo` runs the same processes on this machine."""


def main() -> None:
    command_line.parser("make up", __doc__).parse_args()
    if reason := why_no_docker():
        print(NO_DOCKER.format(reason=reason), file=sys.stderr)
        sys.exit(2)
    settings = ROOT / ".env"
    if not settings.exists():
        write_private(settings, filled((ROOT / ".env.example").read_text()))
        print("Created .env with new keys for this machine.")
    up = ["docker", "compose", "up", "--build", "--detach", "--wait"]
    if subprocess.run(up, cwd=ROOT, check=False).returncode:
        sys.exit("Not everything started. To see why: docker compose logs")
    print(next_steps(settings))


def why_no_docker() -> str:
    """What is missing to run containers; empty if nothing is."""
    for command in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "the command docker was not found"
        if done.returncode:
            return done.stderr.strip().partition("\n")[0] or "no answer"
    return ""


def filled(example: str) -> str:
    """The text of .env.example with a new value for each empty setting."""
    wire_keys = {"payment": new_key(), "student": new_key()}
    lines = []
    for line in example.splitlines():
        name, equals, value = line.partition("=")
        if equals and not value and not line.startswith("#"):
            line = f"{name}={new_value(name, wire_keys)}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def new_value(name: str, wire_keys: Mapping[str, str]) -> str:
    """A value for a setting of this name; `wire_keys` are the new ones by side."""
    side = name.partition("_")[0].lower()
    if name.endswith("_WIRE_KEYS"):
        return f"k1:{wire_keys[side]}"
    if name.endswith("_PEER_KEYS"):
        [other] = wire_keys.keys() - {side}
        return f"{other}_service:k1:{public(wire_keys[other])}"
    if name.endswith("_SEALING_KEYS"):
        return f"k1:{new_key()}"
    if name.endswith("_LOOKUP_KEY"):
        return new_key()
    return secrets.token_urlsafe(48)


def next_steps(settings: Path) -> str:
    # A .env of an earlier version may lack new settings.
    values = _values(ROOT / ".env.example") | _values(settings)
    return f"""
  the payment API   http://localhost:{values["PAYMENT_PORT"]}/v1/docs
  the mailbox       http://localhost:{values["MAIL_PORT"]}
  RabbitMQ          http://localhost:{values["RABBITMQ_PORT"]}   operator, password in .env
  payment operators http://localhost:{values["PAYMENT_OPERATORS_PORT"]}
  student operators http://localhost:{values["STUDENT_OPERATORS_PORT"]}

  docker compose exec payment-operators python manage.py createsuperuser
  docker compose exec student-operators python manage.py createsuperuser

  KEY=$(docker compose exec payment-web python manage.py api_key create --name me \\
    --scope subscriptions:read subscriptions:write codes:read webhooks | tail -n 1)
  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"user_id": "you", "email": "you@example.org", "plan": "pro",
         "amount": 4900, "currency": "EUR"}}' \\
    http://localhost:{values["PAYMENT_PORT"]}/v1/subscriptions
"""


def _values(file: Path) -> dict[str, str]:
    return dict(
        line.split("=", 1)
        for line in file.read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )


if __name__ == "__main__":
    main()
