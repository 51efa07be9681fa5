"""Measure how fast Admit One is on this machine, compared with a bare loop and the textbook way.

    make bench                                         all parts
    make bench ARGS="--only latency posts"             only these
    make bench ARGS="--json FILE"                      also write every sample as JSON

Uses the same RabbitMQ and PostgreSQL as `make test`, with its own databases and names on the
broker, and leaves nothing behind. All processes are real.
Compare only figures from one run: they vary too much between runs and machines.

Exit codes: 0 everything was measured; 1 a measurement failed; 2 an option is wrong.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from types import FrameType

from rich.console import Console

from tools.servers import NoServer, Servers
from tools.system.ports import use_no_proxy_here
from tools.system.process import NotReady
from tools.system.system import CommandFailed

from . import machine, report
from .contender import NoProgress
from .options import BenchOptions
from .run import BenchRun
from .stage import BenchStage


def main() -> None:
    options = BenchOptions.parse(__doc__ or "")
    use_no_proxy_here()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    _stop_once()
    try:
        with Servers(say=console.print) as servers:
            _measure(servers, options, console)
    except (NoServer, NotReady, CommandFailed, NoProgress) as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        sys.exit(f"{error}\n{notes}".strip())
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was left behind")


def _measure(servers: Servers, options: BenchOptions, console: Console) -> None:
    if (busy := machine.busy()) > 0.3:
        console.print(f"This machine is busy (load {busy:.1f} per core): figures will be low.")
    facts = {
        "Measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "Sizes": options.sizes(),
        "Servers": {
            "RabbitMQ": servers.broker.version,
            "PostgreSQL": servers.database.version,
            **machine.database_settings(servers.database.url),
        },
        "Versions": machine.versions(),
        "Machine": machine.hardware(),
    }
    with BenchStage(servers.broker.url, servers.database.url) as stage:
        run = BenchRun(stage, options, console)
        run.measure()
    report.show(console, run.results, run.product.peaks, facts)
    if options.json:
        report.write(options.json, run.results, run.product.peaks, facts)


def _stop_once() -> None:
    """End the run at the first Ctrl-C or SIGTERM, and ignore others during the clean-up."""

    def stop(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


if __name__ == "__main__":
    main()
