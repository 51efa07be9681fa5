"""The options of a run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools import command_line

PARTS = (
    "drain", "drain-mailing", "drain-history", "latency", "posts", "codes", "mails", "reconcile",
)  # fmt: skip
TEXTBOOK_SHARE = 20
"""The textbook way drains only 1/20 of the backlog, because it is slow."""


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    only: Sequence[str]
    json: Path | None
    subscriptions: int
    rounds: int
    history: int
    compared: int
    samples: int
    seconds: int

    @property
    def textbook_subscriptions(self) -> int:
        return max(100, self.subscriptions // TEXTBOOK_SHARE)

    @property
    def mails(self) -> int:
        return self.subscriptions * 2 // 3

    def wants(self, *parts: str) -> bool:
        return any(part in self.only for part in parts)

    def sizes(self) -> dict[str, int]:
        return {
            "subscriptions": self.subscriptions,
            "textbook": self.textbook_subscriptions,
            "old rows": self.history,
            "compared": self.compared,
            "rounds": self.rounds,
            "samples": self.samples,
        }

    @classmethod
    def parse(cls, description: str) -> Self:
        parser = command_line.parser("make bench", description)
        parser.add_argument(
            "--json", type=Path, metavar="FILE", help="also write the results to this file"
        )
        parser.add_argument(
            "--only", nargs="+", choices=PARTS, default=PARTS, help="measure only these parts"
        )
        for name, least, default, what in (
            ("subscriptions", 300, 20_000, "size of the backlog"),
            ("rounds", 1, 3, "how often each contender drains it"),
            ("history", 1, 1_000_000, "old rows in each outbox and inbox"),
            ("compared", 1, 1_000_000, "subscriptions that a reconciliation compares"),
            ("samples", 20, 300, "POSTs that are timed individually"),
            ("seconds", 1, 10, "how long clients send POSTs to the web process"),
        ):
            parser.add_argument(
                f"--{name}",
                type=_at_least(least),
                default=default,
                metavar="N",
                help=f"{what} (default {default:,})",
            )
        return cls(**vars(parser.parse_args()))


def _at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {number}")
        return number

    return whole
