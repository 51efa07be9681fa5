"""Show what happened to one subscription of the demo, in both services.

    make why ID=019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10

ID is the id of a subscription, or of an event about it. The demo need not be running.
For databases on servers, set BROKER_URL, PAYMENT_DATABASE_URL and STUDENT_DATABASE_URL as for
`make demo`.

Exit codes: 0 finished in both services; 1 something is waiting or stuck; 2 unknown to both;
3 a service could not answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tools import command_line
from tools.system.commands import ROOT, SERVICES
from tools.system.system import CommandFailed, System

from .manage import DEMO, demo_system

Half = dict[str, Any]
"""What `manage.py why --json` of one service prints."""

COLOURS = {"payment_service": "cyan", "student_service": "magenta"}
WIDEST = 80


def main() -> None:
    parser = command_line.parser("make why", __doc__)
    parser.add_argument("id", help="the id of a subscription, or of an event about it")
    parser.add_argument(
        "--folder",
        type=Path,
        default=DEMO,
        help="folder of the demo (default: var/demo)",
    )
    options = parser.parse_args()
    system = demo_system(options.folder)
    try:
        sides = both_halves(system, options.id)
    except CommandFailed as error:
        print(error)
        sys.exit(3)
    show(sides)
    sys.exit(exit_code(sides))


def both_halves(system: System, given: str) -> list[Half]:
    """Both halves. If only one side knows the event's id, it names the subscription."""
    sides = [half_of(system, service, given) for service in SERVICES]
    for side in sides:
        if side["subject"] != given and side["standing"] != "unknown":
            return [half_of(system, service, side["subject"]) for service in SERVICES]
    return sides


def half_of(system: System, service: str, given: str) -> Half:
    """One side's half. Raises `CommandFailed`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "why", given, "--json"],
        cwd=ROOT / service,
        env=system.environment(service),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        half: Half = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise CommandFailed(f"{service} could not answer: {last[0]}") from None
    return half


def exit_code(sides: Sequence[Half]) -> int:
    standings = {side["standing"] for side in sides}
    if standings == {"unknown"}:
        return 2
    return 0 if standings == {"finished"} else 1


def show(sides: Sequence[Half], console: Console | None = None) -> None:
    """Show both halves by time, then what is waiting; readable in 40 columns and without colour."""
    console = console or Console(highlight=False)
    console.width = min(console.width, WIDEST)
    console.print(Text(sides[0]["subject"], "bold"))
    for day, steps in groupby(_steps(sides), key=lambda step: step[0].date()):
        console.print(Text(f"\n{day:%Y-%m-%d}, UTC", "dim"))
        table = Table.grid(padding=(0, 1))
        table.add_column()
        table.add_column()
        table.add_column(overflow="fold")
        for at, service, what in steps:
            time = Text(f"{at:%H:%M:%S}.{at.microsecond // 1000:03}", "dim")
            table.add_row(time, Text(_short(service), COLOURS[service]), Text(what))
        console.print(table)
    for side in sides:
        _show_standing(console, side)
    notes = dict.fromkeys(note for side in sides for note in side["notes"])
    if exit_code(sides) and notes:
        console.print()
        console.print(Text("\n".join(notes), "dim"))


def _steps(sides: Sequence[Half]) -> list[tuple[datetime, str, str]]:
    return sorted(
        (datetime.fromisoformat(step["at"]).astimezone(UTC), side["service"], step["what"])
        for side in sides
        for step in side["steps"]
    )


def _show_standing(console: Console, side: Half) -> None:
    name = Text(_short(side["service"]), COLOURS[side["service"]])
    console.print()
    if side["standing"] == "unknown":
        console.print(name, Text("has no record of it", "bold yellow"))
    elif side["standing"] == "finished":
        console.print(name, Text("has finished", "green"))
    for wait in side["waits"]:
        style = "bold red" if wait["stuck"] else "bold yellow"
        console.print(name, Text("is stuck" if wait["stuck"] else "waits", style))
        for line in (wait["why"], f"→ {wait['then']}"):
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def _short(service: str) -> str:
    return service.removesuffix("_service")


if __name__ == "__main__":
    main()
