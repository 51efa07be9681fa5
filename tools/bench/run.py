"""One run of the bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from . import posts, results
from .contender import Drained, Progress, RunningContender
from .contenders.bare import BareLoop
from .contenders.bare_view import BareView
from .contenders.product import AdmitOne
from .contenders.textbook import Textbook
from .latency import LatencyClient, in_turn, percentile
from .options import BenchOptions
from .results import Figure, Results
from .stage import BenchStage

TURNS = 3
"""Short turns instead of each round."""


class BenchRun:
    """Prepares what the chosen parts need, and measures them round by round."""

    def __init__(self, stage: BenchStage, options: BenchOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self.results = Results()
        self.product = AdmitOne(stage)
        self._bare = BareLoop(stage)
        self._textbook = Textbook(stage)
        self._view = BareView(stage)

    def measure(self) -> None:
        wants = self._options.wants
        self._prepare()
        for number in range(1, self._options.rounds + 1):
            self._drains(f"round {number}")
        if wants("latency"):
            self._latency()
        if wants("posts"):
            self._posts()
        if wants("codes"):
            self._codes()
        if wants("mails"):
            self._mails()
        if wants("reconcile"):
            self._reconcile()

    def _prepare(self) -> None:
        wants, options = self._options.wants, self._options
        with self._shown("databases"):
            self.product.prepare()
            if wants("drain"):
                self._bare.prepare()
            if wants("drain", "latency", "posts"):
                self._textbook.prepare()
        with self._shown(f"a backlog of {options.subscriptions:,} subscriptions"):
            if wants("drain", "drain-mailing", "drain-history", "mails"):
                self.product.prepare_backlog(options.subscriptions)
            if wants("drain"):
                self._bare.prepare_backlog(options.subscriptions)
                self._textbook.prepare_backlog(options.textbook_subscriptions)
        if wants("codes"):
            with self._shown("codes"):
                self.product.prepare_codes()
        if wants("drain-history"):
            with self._shown(f"{options.history:,} old rows in each outbox and inbox"):
                self.product.prepare_history(options.history)
        if wants("reconcile"):
            with self._shown(f"{options.compared:,} subscriptions with their codes"):
                self.product.prepare_reconciliation(options.compared)

    def _drains(self, which: str) -> None:
        """One drain of each kind, in turn."""
        bare, product, textbook = self._bare, self.product, self._textbook
        for parts, figure, who, drain in (
            (["drain"], results.DRAIN, bare.name, bare.drain),
            (["drain", "drain-history"], results.DRAIN, product.name, product.drain),
            (["drain-history"], results.DRAIN_HISTORY, product.name, product.drain_with_history),
            (["drain"], results.DRAIN, textbook.name, textbook.drain),
        ):
            if self._options.wants(*parts):
                self._drain(which, figure, who, drain)
        if self._options.wants("drain-mailing"):
            self._drain_mailing(which)

    def _drain(
        self, which: str, figure: Figure, who: str, drain: Callable[[Progress], Drained]
    ) -> None:
        options, few = self._options, who == self._textbook.name
        count = options.textbook_subscriptions if few else options.subscriptions
        with self._shown(f"{which}, {who}: {figure.title}", count) as progress:
            drained = drain(progress)
        self.results.add(figure, who, drained.rate)
        self._print(f"{which}, {who}: {figure.title}, {drained.rate:,.0f}/s ({drained.count:,})")

    def _drain_mailing(self, which: str) -> None:
        name, title = self.product.name, results.DRAIN_MAILING.title
        with self._shown(f"{which}, {name}: {title}", self._options.subscriptions) as progress:
            codes, both = self.product.drain_mailing(progress)
        for figure, drained in (
            (results.DRAIN_MAILING, codes),
            (results.CODES_AND_MAILS, both),
        ):
            self.results.add(figure, name, drained.rate)
            self._print(f"{which}, {name}: {figure.title}, {drained.rate:,.0f}/s")

    def _latency(self) -> None:
        ours, theirs, samples = self.product, self._textbook, self._options.samples
        with (
            self._shown("POST to code, in turn", samples) as progress,
            ours.running() as our_web,
            theirs.running() as their_web,
            closing(LatencyClient(our_web)) as our_client,
            closing(LatencyClient(their_web)) as their_client,
        ):
            clients = {ours.name: our_client, theirs.name: their_client}
            measured = in_turn(clients, samples, progress)
        for who, latencies in measured.items():
            for figure, share, seconds in (
                (results.LATENCY_P50, 50, latencies.shown),
                (results.LATENCY_P99, 99, latencies.shown),
                (results.ANSWER_P50, 50, latencies.accepted),
            ):
                self.results.add(figure, who, 1_000 * percentile(seconds, share))
            self._print(
                f"{who}: POST to code, p50 {1_000 * percentile(latencies.shown, 50):.1f} ms"
            )

    def _posts(self) -> None:
        product, bare = self.product, self._view
        with product.web_alone() as ours, bare.running(*product.posted_to()) as theirs:
            self._in_turns(ours, theirs, {"subscriptions": results.POSTS})
        with self._shown(f"{self._textbook.name}: POSTs"), self._textbook.web_alone() as running:
            rate = posts.rate(running, self._options.seconds)
        self.results.add(results.POSTS, self._textbook.name, rate)
        self._print(f"{self._textbook.name}: {rate:,.0f} POSTs/s")

    def _codes(self) -> None:
        product, bare = self.product, self._view
        with product.student_web_alone() as ours, bare.running(*product.asked()) as theirs:
            asked = {"validate": results.VALIDATIONS, "redeem": results.REDEMPTIONS}
            self._in_turns(ours, theirs, asked)

    def _in_turns(
        self, ours: RunningContender, theirs: RunningContender, requests: Mapping[str, Figure]
    ) -> None:
        """Both contenders run, and take short turns, so that the machine is the same for both."""
        pair = [(self.product.name, ours), (self._view.name, theirs)]
        for what, figure in requests.items():
            for number in range(1, TURNS * self._options.rounds + 1):
                pair.reverse()  # who comes second finds other work in progress
                for name, web in pair:
                    with self._shown(f"turn {number}, {name}: {figure.title}"):
                        rate = posts.rate(web, self._options.seconds / TURNS, what)
                    self.results.add(figure, name, rate)
                    self._print(f"turn {number}, {name}: {figure.title}, {rate:,.0f}/s")

    def _mails(self) -> None:
        name, count = self.product.name, self._options.mails
        with self._shown(f"{name}: mails", count) as progress:
            sent, took = self.product.mails(count, progress)
        self.results.add(results.MAILS, name, sent.rate)
        self.results.add(results.MAIL_TIME, name, 1_000 * took)
        self._print(
            f"{name}: {sent.rate:,.0f} mails/s, {1_000 * took:.2f} ms of processor time each"
        )

    def _reconcile(self) -> None:
        name = self.product.name
        with self._shown(f"{name}: a reconciliation") as progress:
            done = self.product.reconciled(self._options.samples // 3, progress)
        self.results.add(results.RECONCILED, name, done.seconds)
        for figure, seconds in (
            (results.ALONE_P50, done.alone),
            (results.BESIDE_P50, done.beside),
        ):
            self.results.add(figure, name, 1_000 * percentile(seconds, 50))
        self._print(f"{name}: a reconciliation of {self._options.compared:,}, {done.seconds:.1f} s")

    @contextmanager
    def _shown(self, what: str, total: int | None = None) -> Iterator[Progress]:
        """Show a progress bar during the block."""
        columns = [TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn()]
        if total is not None:
            columns.insert(2, MofNCompleteColumn())
        quiet = not self._console.is_terminal
        with Bars(*columns, console=self._console, transient=True, disable=quiet) as bars:
            task = bars.add_task(what, total=total)
            yield lambda done: bars.update(task, completed=done)

    def _print(self, line: str) -> None:
        self._console.print(line, style="dim", highlight=False)
