"""Inject faults into the whole system, then look whether anything was lost.

    make chaos                            ten minutes on a RabbitMQ and a PostgreSQL of its own
    make chaos DURATION=60 SEED=7         a minute, with the faults of seed 7
    make chaos ARGS="--kind embedded"     the same plan on SQLite and the embedded broker
    make chaos-disk                       a minute in which the broker's disk is really full, and
                                          then all its data is gone; ends with a reconciliation

Clients order and look, third parties repeat and poison messages, and meanwhile processes, servers
and networks fail by a plan that is drawn from the seed. Then all faults end, the system has two
minutes to recover, and a checker compares both APIs, both databases and the mailbox.
A failed run leaves its logs and databases in var/chaos.

Exit codes: 0 nothing lost, doubled or unaccounted for; 1 something was;
2 there is no RabbitMQ, no PostgreSQL or no small disk to start with, or a function that is to be
replaced is gone or has changed (before anything is started); 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from tests_integration.chaos.faults.catalogue import FAULTS
from tests_integration.chaos.faults.plan import Planned, plan
from tests_integration.chaos.stage.patched import NotAsExpected
from tests_integration.chaos.stage.planted_bugs import BUGS
from tests_integration.chaos.stage.small_disk import NoDisk
from tools.servers.found import NotHere
from tools.system.commands import ROOT

from . import report
from .result import Options, Result
from .run import run
from .stage import stage
from .stage.stage import Stage

KEPT = ROOT / "var" / "chaos"

WHERE = {
    "servers": "its own servers",
    "embedded": "the embedded default",
    "disk": "its own servers, the broker on a small disk",
}

DISK_MEGABYTES = 300
DISK_SECONDS = 40.0
FORGETFUL = [
    Planned(4.0, 12.0, "freeze", "student-consumer"),
    Planned(6.0, 14.0, "broker disk full", "broker"),
    Planned(24.0, 30.0, "freeze", "student-consumer"),
    Planned(28.0, 29.0, "broker wiped", "broker"),
]
"""What waits in a queue when the disk is full, and when the data goes, is lost."""


def main() -> None:
    options = _parser().parse_args()
    console = Console(highlight=False)
    on_small_disk = options.kind == "disk"
    chosen = Options(
        seconds=DISK_SECONDS if on_small_disk else options.duration,
        seed=options.seed if options.seed is not None else secrets.randbelow(1_000_000),
        rate=options.rate,
        recovery=options.recovery,
        repair=on_small_disk,
        third_party_rate=0.0 if on_small_disk else Options.third_party_rate,
    )
    faults = plan(chosen.seed, chosen.seconds, options.kind, only=options.only)
    if on_small_disk:
        faults = FORGETFUL
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    logging.getLogger("amqp").addHandler(
        logging.NullHandler()
    )  # a broker that dies makes it talkative
    console.print(
        f"\n[bold]Chaos[/]  {chosen.seconds:.0f} s on {WHERE[options.kind]}, "
        f"{len(faults)} faults planned, seed {chosen.seed}\n",
        soft_wrap=True,
    )
    try:
        result = run_in_a_folder(console, chosen, faults, options.kind, options.bug)
    except NotAsExpected as error:
        console.print(f"[red]{error}[/]\nSee tests_integration/chaos/stage/patched.py.")
        sys.exit(2)
    except NoDisk as error:
        console.print(f"[red]{error}[/]\nIt takes Linux, and root.")
        sys.exit(2)
    except NotHere as error:
        console.print(f"[red]{error}[/]\nApt install rabbitmq-server and postgresql, or try:")
        console.print('  make chaos ARGS="--kind embedded"')
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("\nstopped: nothing is left behind")
        sys.exit(130)
    sys.exit(0 if result.is_clean else 1)


def run_in_a_folder(
    console: Console, options: Options, faults: Sequence[Planned], kind: str, bug: str
) -> Result:
    """One run in a folder of its own, which is kept if something is found."""
    context = tempfile.TemporaryDirectory(prefix="admit-one-chaos-", ignore_cleanup_errors=True)
    with context as name:
        folder = Path(name)
        with built(kind, folder, bug) as here:
            result = run(here, options, faults, report.progress(console))
            report.show(console, result)
            if not result.is_clean:
                here.save_databases(folder)
                here.save_logs(folder)
        if not result.is_clean:
            console.print(f"\nlogs and databases: {_keep(folder, result, faults)}", soft_wrap=True)
    return result


@contextmanager
def built(kind: str, folder: Path, bug: str) -> Iterator[Stage]:
    """A stage of this kind. Raises `NotHere` or `NoDisk` if it cannot be had."""
    if kind == "embedded":
        with stage.embedded(folder, bug) as here:
            yield here
        return
    megabytes = DISK_MEGABYTES if kind == "disk" else 0
    with (
        stage.private_servers(megabytes) as servers,
        stage.on_servers(servers, folder, bug) as here,
    ):
        yield here


def _keep(folder: Path, result: Result, faults: Sequence[Planned]) -> Path:
    kept = KEPT / f"seed-{result.options.seed}-{secrets.token_hex(2)}"
    (folder / "plan.json").write_text(json.dumps([asdict(fault) for fault in faults], indent=1))
    (folder / "findings.txt").write_text("\n".join(result.findings()) + "\n")
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("armed", "*-wake", "*.lock"))
    return kept


def _as_ctrl_c(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests_integration.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--duration", type=float, default=600.0, metavar="SECONDS", help="of load and faults")
    add("--seed", type=int, help="of the plan; without one it is drawn, and shown")
    add("--rate", type=float, default=36.0, help="orders a second")
    add(
        "--recovery",
        type=float,
        default=Options.recovery,
        metavar="SECONDS",
        help="to recover in, at most, after the last fault",
    )
    add("--kind", choices=list(WHERE), default="servers")
    add("--only", nargs="+", choices=list(FAULTS), default=[], metavar="FAULT", help="these kinds")
    add("--bug", choices=list(BUGS), default="", help="plant a bug, to see it found")
    return parser


if __name__ == "__main__":
    main()
