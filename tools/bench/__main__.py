"""Measure how fast Admit One is, beside a bare loop and the textbook way, on this machine.

    make bench                                         all parts
    make bench ARGS="--only latency posts"             only these
    make bench ARGS="--json FILE"                      every sample too, as JSON

It takes the RabbitMQ and the PostgreSQL that `make test` would take, with databases and broker
names of its own, and leaves nothing behind. All processes are real.
Compare figures of one run only: other runs and machines differ by more than the product does.

Exit codes: 0 all was measured; 1 it could not be; 2 the options are wrong.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from types import FrameType

from rich.console import Console

from tools.servers import NoServer, Servers
from tools.system.process import NotReady
from tools.system.system import CommandFailed

from . import machine, report
from .contender import Stuck
from .options import Options
from .run import Run
from .stage import Stage


def main() -> None:
    options = Options.parse(__doc__ or "")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    _stop_once()
    try:
        with Servers(say=console.print) as servers:
            _measure(servers, options, console)
    except (NoServer, NotReady, CommandFailed, Stuck) as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        sys.exit(f"{error}\n{notes}".strip())
    except KeyboardInterrupt:
        sys.exit("stopped; nothing is left behind")


def _measure(servers: Servers, options: Options, console: Console) -> None:
    if (busy := machine.busy()) > 0.3:
        console.print(f"This machine is busy ({busy:.1f} programs a core): figures will be low.")
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
    with Stage(servers.broker.url, servers.database.url) as stage:
        run = Run(stage, options, console)
        run.measure()
    report.show(console, run.results, run.product.peaks, facts)
    if options.json:
        report.write(options.json, run.results, run.product.peaks, facts)


def _stop_once() -> None:
    """The first Ctrl-C or SIGTERM ends the run; while it cleans up, no other disturbs it."""

    def stop(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


if __name__ == "__main__":
    main()
