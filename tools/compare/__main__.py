"""Compare libraries on the same task, with `kill -9` at each crash point.

A shop commits a paid order, an event goes over RabbitMQ, and another service must issue exactly one
access code for it. Each library's program in `programs/` follows the library's documentation, and
runs in its own virtual environment, installed from the package index.
Needs an installed RabbitMQ; takes about 20 minutes; leaves nothing behind.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tools.servers import NoServer, find, postgresql
from tools.servers.found import NotHere, Server
from tools.servers.rabbitmq import probe
from tools.system.commands import ROOT
from tools.system.process import NotReady

from . import environments, program, report
from .contender import Contender
from .contenders import CONTENDERS
from .performance import BROKER_KILLS, ContenderResult, Performance
from .stage import Broken, ContenderStage

DOCUMENT = ROOT / "docs" / "compared.md"
STOPPED = threading.Event()


@dataclass(frozen=True)
class ContenderRun:
    """One contender's run, in a separate process."""

    contender: Contender
    python: Path
    database: str
    messages: int
    kills: int
    logs: Path | None

    def outcome(self) -> ContenderResult:
        if STOPPED.is_set():  # the pool still starts what it has queued
            sys.exit("stopped")
        outcome = ContenderResult(self.contender, program.lines(self.contender))
        with tempfile.TemporaryDirectory(prefix="admit-one-compare-") as folder:
            try:
                outcome.versions = environments.versions(self.python)
                with ContenderStage(
                    self.contender, self.python, self.database, Path(folder)
                ) as stage:
                    outcome.broker = probe(stage.node.url)
                    Performance(stage, outcome, self.messages, self.kills, self._say).run()
            except (Broken, NotHere, NotReady) as error:
                outcome.error = " ".join(str(error).split())
                self._say(outcome.error)
            finally:
                if self.logs:
                    _keep_logs(Path(folder), self.logs / self.contender.slug)
        self._say("done")
        return outcome

    def _say(self, what: str) -> None:
        print(f"{datetime.now(UTC):%H:%M:%S} {self.contender.slug}: {what}", flush=True)


def main() -> None:
    options = _options()
    _stop_in_order()
    console = Console()
    chosen = [each for each in CONTENDERS if not options.only or each.slug in options.only]
    try:
        with ExitStack() as stack:
            folder = options.environments or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="admit-one-compare-"))
            )
            database = find(postgresql.PRODUCT, stack)
            outcomes = _outcomes(chosen, folder, database, options)
    except NoServer as error:
        sys.exit(str(error))
    facts = _facts(outcomes, database, options)
    report.show(console, outcomes, facts)
    if options.markdown:
        report.write(DOCUMENT, outcomes, facts)
    sys.exit(any(outcome.error for outcome in outcomes))


def _outcomes(
    chosen: Sequence[Contender], folder: Path, database: Server, options: argparse.Namespace
) -> list[ContenderResult]:
    """Run the contenders, a few in parallel, since they mostly wait."""
    outcomes: dict[str, ContenderResult | Future[ContenderResult]] = {}
    with ProcessPoolExecutor(options.jobs, initializer=_stop_in_order) as pool, _cancelled(pool):
        for contender in chosen:
            try:
                python = environments.python_of(contender, folder)
            except environments.CannotInstall as error:
                outcome = ContenderResult(contender, program.lines(contender), error=str(error))
                outcomes[contender.slug] = outcome
                continue
            run = ContenderRun(
                contender, python, database.url, options.messages, options.kills, options.logs
            )
            outcomes[contender.slug] = pool.submit(run.outcome)
        return [
            each if isinstance(each, ContenderResult) else each.result()
            for each in outcomes.values()
        ]


def _stop_in_order() -> None:
    """Clean up at SIGTERM as at Ctrl-C."""

    def stop(*_: object) -> None:
        STOPPED.set()
        for child in multiprocessing.active_children():
            child.terminate()
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def _cancelled(pool: Executor) -> Iterator[None]:
    """Start no more contenders if the run is interrupted."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _keep_logs(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (target / log.name).write_bytes(log.read_bytes())


def _facts(
    outcomes: Sequence[ContenderResult], database: Server, options: argparse.Namespace
) -> dict[str, str]:
    versions: dict[str, str] = {}
    brokers = {outcome.broker for outcome in outcomes if outcome.broker}
    for outcome in outcomes:
        packages = [re.split(r"[\[=]", package)[0] for package in outcome.contender.packages]
        packages += ["admit-one"]
        versions |= {name: outcome.versions[name] for name in packages if name in outcome.versions}
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Machine": f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}",
        "Servers": f"RabbitMQ {', '.join(sorted(brokers))}, PostgreSQL {database.version}",
        "Packages": ", ".join(f"{name} {versions[name]}" for name in sorted(versions)),
        "Each point": f"{options.messages} orders, {options.kills} kills (broker: {BROKER_KILLS})",
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [contender.slug for contender in CONTENDERS]
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"only these of {', '.join(names)}"
    )
    parser.add_argument("--messages", type=int, default=100, help="orders per point (%(default)s)")
    parser.add_argument("--kills", type=int, default=4, help="kills per point (%(default)s)")
    parser.add_argument("--jobs", type=int, default=3, help="contenders in parallel (%(default)s)")
    parser.add_argument(
        "--markdown", action="store_true", help="write the tables into docs/compared.md"
    )
    parser.add_argument(
        "--environments", type=Path, help="keep the virtual environments in this folder"
    )
    parser.add_argument("--logs", type=Path, help="keep the output of the processes in this folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
