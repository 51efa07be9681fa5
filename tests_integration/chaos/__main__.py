"""Inject faults into the whole system, then check that nothing was lost.

    make chaos                            ten minutes on a RabbitMQ and a PostgreSQL of its own
    make chaos DURATION=60 SEED=7         one minute, with the faults of seed 7
    make chaos ARGS="--kind embedded"     on SQLite and the embedded broker, without broker faults
    make chaos-disk                       one minute: fill the broker's disk, delete its data, and
                                          reconcile

Clients sell, renew and cancel subscriptions, Stripe reports sales, platforms redeem codes, an
operator suspends and replaces some, persons are erased, third parties publish duplicates and poison
messages, others forge Stripe's events, and processes, servers, networks and receivers of webhooks
fail as planned from the seed. When all faults have ended, the system has two minutes to recover.
Then a checker compares the APIs, both databases, the mailbox and the webhooks that came.
A run that finds something leaves its logs and databases in var/chaos.

Exit codes: 0 nothing lost, doubled or unaccounted for; 1 something was; 2 the run cannot start:
RabbitMQ, PostgreSQL or a small disk is missing, or a function to be patched has changed;
130 Ctrl-C.
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
from tools import command_line
from tools.servers.found import NotHere
from tools.system.commands import ROOT
from tools.system.ports import use_no_proxy_here

from . import report
from .options import ChaosOptions
from .result import ChaosResult
from .run import run
from .stage import stage
from .stage.stage import Stage

KEPT = ROOT / "var" / "chaos"

WHERE = {
    "servers": "its own servers",
    "embedded": "SQLite and the embedded broker",
    "disk": "its own servers, the broker on a small disk",
}

DISK_MEGABYTES = 300
DISK_SECONDS = 40.0
DISK_PLAN = [
    Planned(4.0, 12.0, "freeze", "student-consumer"),
    Planned(6.0, 14.0, "broker disk full", "broker"),
    Planned(24.0, 30.0, "freeze", "student-consumer"),
    Planned(28.0, 29.0, "broker wiped", "broker"),
]
"""The consumer is frozen so that messages are in its queue when the broker loses them."""


def main() -> None:
    options = _parser().parse_args()
    use_no_proxy_here()
    console = Console(highlight=False)
    on_small_disk = options.kind == "disk"
    chosen = ChaosOptions(
        seconds=DISK_SECONDS if on_small_disk else options.duration,
        seed=options.seed if options.seed is not None else secrets.randbelow(1_000_000),
        rate=options.rate,
        recovery=options.recovery,
        repair=on_small_disk,
        third_party_rate=0.0 if on_small_disk else ChaosOptions.third_party_rate,
        erasures=0.0 if on_small_disk else ChaosOptions.erasures,
    )
    faults = plan(chosen.seed, chosen.seconds, options.kind, only=options.only)
    if on_small_disk:
        faults = DISK_PLAN
    for number in (signal.SIGINT, signal.SIGTERM):  # `nohup … &` lets SIGINT be ignored
        signal.signal(number, _as_ctrl_c)
    logging.getLogger("amqp").addHandler(logging.NullHandler())  # noisy while the broker is down
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
        console.print(f"[red]{error}[/]\nmake chaos-disk needs Linux and root.")
        sys.exit(2)
    except NotHere as error:
        console.print(f"[red]{error}[/]\nInstall rabbitmq-server and postgresql, or run:")
        console.print('  make chaos ARGS="--kind embedded"')
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("\nstopped: nothing was left behind")
        sys.exit(130)
    sys.exit(0 if result.is_clean else 1)


def run_in_a_folder(
    console: Console, options: ChaosOptions, faults: Sequence[Planned], kind: str, bug: str
) -> ChaosResult:
    """One run in a temporary folder, which is kept if the run finds something."""
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
    """A stage of this kind. Raises `NotHere` or `NoDisk` if this machine cannot provide it."""
    if kind == "embedded":
        with stage.embedded(folder, bug) as here:
            yield here
        return
    megabytes = DISK_MEGABYTES if kind == "disk" else 0
    with (
        stage.private_servers(megabytes) as servers,
        stage.on_private_servers(servers, folder, bug) as here,
    ):
        yield here


def _keep(folder: Path, result: ChaosResult, faults: Sequence[Planned]) -> Path:
    kept = KEPT / f"seed-{result.options.seed}-{secrets.token_hex(2)}"
    (folder / "plan.json").write_text(json.dumps([asdict(fault) for fault in faults], indent=1))
    (folder / "findings.txt").write_text("\n".join(result.findings()) + "\n")
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("armed", "*-wake", "*.lock"))
    return kept


def _as_ctrl_c(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser("python -m tests_integration.chaos", __doc__)
    add = parser.add_argument
    add(
        "--duration",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long load and faults last (default %(default)s)",
    )
    add("--seed", type=int, help="seed of load and faults (default: random, printed)")
    add("--rate", type=float, default=36.0, help="subscriptions per second (default %(default)s)")
    add(
        "--recovery",
        type=float,
        default=ChaosOptions.recovery,
        metavar="SECONDS",
        help="time limit for recovery after the last fault (default %(default)s)",
    )
    add("--kind", choices=list(WHERE), default="servers", help="what to run on")
    add(
        "--only", nargs="+", choices=list(FAULTS), default=[], metavar="FAULT", help="faults to use"
    )
    add("--bug", choices=list(BUGS), default="", help="a bug to plant, for the checker to find")
    return parser


if __name__ == "__main__":
    main()
