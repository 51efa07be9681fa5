"""The figures, their samples, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

PRODUCT, BARE, TEXTBOOK = CONTENDERS = ("Admit One", "bare loop", "textbook")


@dataclass(frozen=True)
class Figure:
    """One line of the table. `what` says exactly how it is measured."""

    name: str
    title: str
    unit: str
    what: str


DRAIN = Figure(
    "drain",
    "Drain, mail worker stopped",
    "/s",
    "a backlog of recorded subscriptions, with all other processes running; timed from when the "
    "payment relay is ready until the last subscription is active. "
    "Queues are durable; PostgreSQL's own settings decide when a commit is on disk.",
)
DRAIN_MAILING = Figure(
    "drain-mailing",
    "Drain, mail worker running",
    "/s",
    "the same, while the mail worker sends the mails to a local SMTP server.",
)
CODES_AND_MAILS = Figure(
    "codes-and-mails",
    "Codes and their mails",
    "/s",
    "of the same run, timed until the last mail is sent, too.",
)
DRAIN_HISTORY = Figure(
    "drain-history",
    "Drain, with old rows",
    "/s",
    "the same as the first, with old rows in each outbox and inbox, vacuumed.",
)
LATENCY_P50 = Figure(
    "latency-p50",
    "POST to code, p50",
    "ms",
    "one subscription at a time on an idle system: from the request until the database row that "
    "the API shows has its code, polled every 0.3 ms. The contenders take turns; both are running "
    "with their mail workers.",
)
LATENCY_P99 = Figure("latency-p99", "POST to code, p99", "ms", "the 99th percentile of the same.")
ANSWER_P50 = Figure("answer-p50", "POST to 202, p50", "ms", "from the same request to its answer.")
POSTS = Figure(
    "posts",
    "POSTs, one web process",
    "/s",
    "accepted from 8 clients with persistent connections that send the next request as soon as the "
    "last is answered, half of them with an Idempotency-Key. The bare loop is a REST view that "
    "writes the same rows. Both run, and take turns of a few seconds; no other process does.",
)
VALIDATIONS = Figure(
    "validations",
    "Codes validated, one web process",
    "/s",
    "answers to 8 clients with persistent connections that send the next request as soon as the "
    "last is answered. The bare loop is a REST view that reads the API key and the code's row, and "
    "decides nothing.",
)
REDEMPTIONS = Figure(
    "redemptions",
    "Codes redeemed, one web process",
    "/s",
    "the same; each has a reference of its own. The bare view writes the same rows. Both run, and "
    "take turns of a few seconds.",
)
MAILS = Figure(
    "mails",
    "Mails, one worker",
    "/s",
    "waiting mails, sent to a local SMTP server that accepts each at once: Postfix's smtp-sink "
    "where it can be had, or else one in Python.",
)
MAIL_TIME = Figure(
    "mail-time",
    "Processor time of the worker, a mail",
    "ms",
    "of the same: what its processes used, divided by the mails.",
)
RECONCILED = Figure(
    "reconciled",
    "Reconciliation of codes that agree",
    "s",
    "`manage.py reconcile` of all subscriptions, each with the same code on both sides, from the "
    "start of the command to its end.",
)
ALONE_P50 = Figure(
    "reconciled-alone-p50",
    "POST to code, p50, before it",
    "ms",
    "one subscription at a time on the same databases, before the reconciliation.",
)
BESIDE_P50 = Figure(
    "reconciled-beside-p50", "POST to code, p50, beside it", "ms", "the same while it runs."
)
FIGURES = (
    DRAIN, DRAIN_MAILING, CODES_AND_MAILS, DRAIN_HISTORY, LATENCY_P50, LATENCY_P99, ANSWER_P50,
    POSTS, VALIDATIONS, REDEMPTIONS, MAILS, MAIL_TIME, RECONCILED, ALONE_P50, BESIDE_P50,
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A comparison within one run; figures of different runs or machines are not comparable."""

    title: str
    value: float
    unit: str
    wanted: str
    met: bool


class Results:
    """Samples by figure and contender, one for each round."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[float]]] = {}

    def add(self, figure: Figure, contender: str, value: float) -> None:
        self.samples.setdefault(figure.name, {}).setdefault(contender, []).append(value)

    def median(self, figure: Figure, contender: str) -> float | None:
        samples = self.of(figure, contender)
        return statistics.median(samples) if samples else None

    def of(self, figure: Figure, contender: str) -> list[float]:
        return self.samples.get(figure.name, {}).get(contender, [])

    def targets(self) -> list[Target]:
        """The targets whose figures were measured."""
        drain = self.of(DRAIN, PRODUCT)
        targets = []
        if share := _ratio(drain, self.of(DRAIN, BARE)):
            title = "Drain, of the bare loop"
            targets.append(Target(title, 100 * share, "%", "≥ 80 %", share >= 0.8))
        if times := _ratio(drain, self.of(DRAIN, TEXTBOOK)):
            title = "Drain, times the textbook way"
            targets.append(Target(title, times, "×", "≥ 15 ×", times >= 15))
        if kept := _ratio(self.of(DRAIN_HISTORY, PRODUCT), drain):
            title = "Slower with old rows"
            targets.append(Target(title, 100 * (1 - kept), "%", "< 10 %", kept > 0.9))
        if wait := _ratio(self.of(LATENCY_P50, PRODUCT), self.of(LATENCY_P50, TEXTBOOK)):
            title = "POST to code p50, of the textbook way"
            targets.append(Target(title, 100 * wait, "%", "< 100 %", wait < 1))
        if share := _ratio(self.of(POSTS, PRODUCT), self.of(POSTS, BARE)):
            title = "POSTs, of a bare view"
            targets.append(Target(title, 100 * share, "%", "≥ 85 %", share >= 0.85))
        if validated := self.median(VALIDATIONS, PRODUCT):
            title = "Codes validated, one web process"
            targets.append(Target(title, validated, "/s", "≥ 500 /s", validated >= 500))
        if share := _ratio(self.of(REDEMPTIONS, PRODUCT), self.of(REDEMPTIONS, BARE)):
            title = "Codes redeemed, of a bare view"
            targets.append(Target(title, 100 * share, "%", "≥ 85 %", share >= 0.85))
        if mails := self.median(MAILS, PRODUCT):
            targets.append(Target("Mails, one worker", mails, "/s", "≥ 500 /s", mails >= 500))
        if took := self.median(MAIL_TIME, PRODUCT):
            title = "Processor time of the worker, a mail"
            targets.append(Target(title, took, "ms", "≤ 1.5 ms", took <= 1.5))
        if both := self.median(CODES_AND_MAILS, PRODUCT):
            targets.append(Target("Codes and their mails", both, "/s", "≥ 450 /s", both >= 450))
        if slower := _ratio(self.of(BESIDE_P50, PRODUCT), self.of(ALONE_P50, PRODUCT)):
            title = "POST to code p50 beside a reconciliation"
            targets.append(Target(title, 100 * slower, "%", "≤ 150 %", slower <= 1.5))
        return targets

    def as_json(self) -> Mapping[str, object]:
        return {
            figure.name: {
                "title": figure.title,
                "unit": figure.unit,
                "what": figure.what,
                "medians": {c: self.median(figure, c) for c in self.samples[figure.name]},
                "samples": self.samples[figure.name],
            }
            for figure in FIGURES
            if figure.name in self.samples
        }


def _ratio(ours: list[float], theirs: list[float]) -> float | None:
    """The median of the ratios per round, as other load on the machine varies between rounds."""
    pairs = list(zip(ours, theirs, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs else None
