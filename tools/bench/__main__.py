"""How fast the product is, beside a bare loop and the textbook way, in one run on one machine.

It runs on the RabbitMQ and PostgreSQL that `make test` would take, in databases and under names
of its own, and leaves nothing behind. All processes are real. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.servers import NoServer, Servers
from tools.system.process import NotReady
from tools.system.system import CommandFailed

from . import machine, report, results
from .contenders.bare_runs import BareLoop
from .contenders.product import Product
from .contenders.textbook_runs import TextbookWay
from .drain import Drained, Stuck
from .latency import in_turn, percentile
from .results import BARE, PRODUCT, TEXTBOOK, Figure, Results
from .stage import Stage

PARTS = ("drain", "drain-mailing", "drain-history", "latency", "posts", "mails")
TEXTBOOK_SHARE = 20
"""The textbook way drains this part of the backlog: else it alone would take minutes."""

Count = Callable[[int], None]


class Bench:
    """One run: prepares what the chosen parts need, measures round by round, keeps the results."""

    def __init__(self, stage: Stage, options: argparse.Namespace, console: Console) -> None:
        self._options = options
        self._console = console
        self.results = Results()
        self.product = Product(stage)
        self._bare = BareLoop(stage)
        self._textbook = TextbookWay(stage)

    def run(self) -> None:
        self._prepare()
        for number in range(1, self._options.rounds + 1):
            self._drains(f"round {number}")
        if self._wants("latency"):
            self._latency()
        if self._wants("posts"):
            self._posts()
        if self._wants("mails"):
            self._mails()

    def _wants(self, *parts: str) -> bool:
        return any(part in self._options.only for part in parts)

    def _prepare(self) -> None:
        count, history = self._options.subscriptions, self._options.history
        with self._shown("Admit One: databases"):
            self.product.prepare()
        if self._wants("drain", "drain-mailing", "drain-history", "mails"):
            with self._shown(f"Admit One: a backlog of {count:,} subscriptions"):
                self.product.prepare_backlog(count)
        if self._wants("drain-history"):
            with self._shown(f"Admit One: {history:,} old rows in each outbox and inbox"):
                self.product.prepare_history(history)
        if self._wants("drain"):
            with self._shown(f"bare loop: a backlog of {count:,} subscriptions"):
                self._bare.prepare(count)
        if self._wants("drain", "latency", "posts"):
            with self._shown("textbook: databases"):
                self._textbook.prepare()

    def _drains(self, which: str) -> None:
        count = self._options.subscriptions
        if self._wants("drain"):
            self._drain(which, results.DRAIN, BARE, count, self._bare.drain)
        if self._wants("drain", "drain-history"):
            self._drain(which, results.DRAIN, PRODUCT, count, self.product.drain)
        if self._wants("drain-history"):
            self._drain(
                which, results.DRAIN_HISTORY, PRODUCT, count,
                lambda tell: self.product.drain(tell, history=True),
            )  # fmt: skip
        if self._wants("drain-mailing"):
            self._drain(
                which, results.DRAIN_MAILING, PRODUCT, count,
                lambda tell: self.product.drain(tell, mail=True),
            )  # fmt: skip
        if self._wants("drain"):
            some = _textbook_count(self._options)
            self._drain(
                which, results.DRAIN, TEXTBOOK, some,
                lambda tell: self._textbook.drain(some, tell),
            )  # fmt: skip

    def _drain(
        self, which: str, figure: Figure, who: str, count: int, drain: Callable[[Count], Drained]
    ) -> None:
        with self._shown(f"{which}, {who}: {figure.title}", count) as tell:
            drained = drain(tell)
        self.results.add(figure, who, drained.rate)
        self._say(f"{which}, {who}: {figure.title}, {drained.rate:,.0f}/s ({drained.count:,})")

    def _latency(self) -> None:
        what, samples = "POST to code, in turn", self._options.samples
        with (
            self._shown(what, samples) as tell,
            self.product.customer() as ours,
            self._textbook.customer() as theirs,
        ):
            measured = in_turn({PRODUCT: ours, TEXTBOOK: theirs}, samples, tell)
        for who, found in measured.items():
            for figure, share, seconds in (
                (results.LATENCY_P50, 50, found.shown),
                (results.LATENCY_P99, 99, found.shown),
                (results.ANSWER_P50, 50, found.accepted),
            ):
                self.results.add(figure, who, 1_000 * percentile(seconds, share))
            self._say(f"{who}: POST to code, p50 {1_000 * percentile(found.shown, 50):.1f} ms")

    def _posts(self) -> None:
        for who, measure in ((PRODUCT, self.product.posts), (TEXTBOOK, self._textbook.posts)):
            with self._shown(f"{who}: POSTs"):
                rate = measure(self._options.seconds)
            self.results.add(results.POSTS, who, rate)
            self._say(f"{who}: {rate:,.0f} POSTs/s")

    def _mails(self) -> None:
        count = min(3_000, self._options.subscriptions * 2 // 3)
        with self._shown("Admit One: mails", count) as tell:
            sent = self.product.mails(count, tell)
        self.results.add(results.MAILS, PRODUCT, sent.rate)
        self._say(f"Admit One: {sent.rate:,.0f} mails/s")

    @contextmanager
    def _shown(self, what: str, total: int | None = None) -> Iterator[Count]:
        """A bar while something is done, which disappears afterwards."""
        columns = [TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn()]
        if total is not None:
            columns.insert(2, MofNCompleteColumn())
        quiet = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=quiet) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)

    def _say(self, line: str) -> None:
        self._console.print(line, style="dim", highlight=False)


def main() -> None:
    options = _options()
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


def _measure(servers: Servers, options: argparse.Namespace, console: Console) -> None:
    if (busy := machine.busy()) > 0.3:
        console.print(f"This machine is busy ({busy:.1f} programs a core): figures will be low.")
    facts = {
        "Measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "Asked for": {
            "subscriptions": options.subscriptions,
            "textbook": _textbook_count(options),
            "old rows": options.history,
            "rounds": options.rounds,
            "samples": options.samples,
        },
        "Servers": {
            "RabbitMQ": servers.broker.version,
            "PostgreSQL": servers.database.version,
            **machine.database_settings(servers.database.url),
        },
        "Versions": machine.versions(),
        "Machine": machine.hardware(),
    }
    with Stage(servers.broker.url, servers.database.url) as stage:
        bench = Bench(stage, options, console)
        bench.run()
    report.show(console, bench.results, bench.product.peaks, facts)
    if options.json:
        report.write(options.json, bench.results, bench.product.peaks, facts)


def _textbook_count(options: argparse.Namespace) -> int:
    return max(100, int(options.subscriptions) // TEXTBOOK_SHARE)


def _stop_once() -> None:
    """The first Ctrl-C or SIGTERM ends the run; while it cleans up, no other disturbs it."""

    def stop(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="measure these parts only"
    )
    parser.add_argument(
        "--subscriptions", type=_at_least(300), default=20_000, help="backlog (default 20000)"
    )
    parser.add_argument(
        "--rounds", type=_at_least(1), default=3, help="drains of each, in turn (default 3)"
    )
    parser.add_argument(
        "--history", type=_at_least(1), default=1_000_000, help="old rows (default 1000000)"
    )
    parser.add_argument(
        "--samples", type=_at_least(20), default=300, help="POSTs to time one by one (default 300)"
    )
    parser.add_argument(
        "--seconds", type=_at_least(1), default=10, help="how long to POST (default 10)"
    )
    return parser.parse_args()


def _at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {number}")
        return number

    return whole


if __name__ == "__main__":
    main()
