"""Run a command of a service in the demo's databases. The demo need not be running.

    make manage SERVICE=student ARGS="set_aside list"
    make manage SERVICE=payment ARGS="api_key create --name shop --scope subscriptions:read"

For databases on servers, set BROKER_URL, PAYMENT_DATABASE_URL and STUDENT_DATABASE_URL as for
`make demo`.

Exit codes: those of the command; 3 there is no demo yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools import command_line
from tools.system.commands import ROOT, SERVICES
from tools.system.keys import kept_keys, new_keys
from tools.system.system import System

from .__main__ import backends_from_environment

DEMO = ROOT / "var" / "demo"
NO_DEMO = 3
"""The exit code if there are no databases."""

SIDES = {service.removesuffix("_service"): service for service in SERVICES}


def main() -> None:
    parser = command_line.parser("make manage", __doc__)
    parser.add_argument(
        "--folder", type=Path, default=DEMO, help="folder of the demo (default: var/demo)"
    )
    parser.add_argument("service", choices=SIDES)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of manage.py")
    options = parser.parse_args()
    service = SIDES[options.service]
    environment = demo_system(options.folder).environment(service)
    os.chdir(ROOT / service)
    # Not as a child: signals, terminal and exit code are the command's own.
    os.execve(sys.executable, [sys.executable, "manage.py", *options.arguments], environment)  # noqa: S606


def demo_system(folder: Path) -> System:
    """The demo's databases, or those that the environment names. Exits if there are none."""
    keys = folder / "keys.json"
    if keys.exists():
        kept = kept_keys(keys)
    elif os.environ.get("PAYMENT_DATABASE_URL") and os.environ.get("STUDENT_DATABASE_URL"):
        kept = new_keys()  # enough for what unseals nothing, such as `why`
    else:
        print(f"Expected the demo's keys in {keys}, got nothing: run `make demo` first.")
        sys.exit(NO_DEMO)
    return System(folder, backends_from_environment(folder), keys=kept)


if __name__ == "__main__":
    main()
