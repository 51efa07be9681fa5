"""A contender: its packages, its processes, where it is killed, and where its failures end up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONFIRM_GAP = "commit, no publish"
MARK_GAP = "publish, no mark"
IN_HANDLER = "in the handler"
ACK_GAP = "commit, no ack"
BROKER = "broker killed"
CRASH_POINTS = (CONFIRM_GAP, MARK_GAP, IN_HANDLER, ACK_GAP, BROKER)

PAYER, RELAY, CONSUMER = "payer", "relay", "consumer"


@dataclass(frozen=True)
class ProgramCommand:
    """A module of the program and its arguments, run for one service."""

    service: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Kill:
    """Which process is killed, and where: "module:Class.function:before" or ":after"."""

    process: str
    place: str


@dataclass(frozen=True)
class Failed:
    """Where a message ends up whose handler always fails, and how it is replayed."""

    where: str
    queue: str = ""
    """The queue that holds it, if one does."""
    table: str = ""
    """A query on the access service's database that counts such messages, if a table holds them."""
    replay: str = ""
    """How to replay it; empty if that is impossible."""
    command: ProgramCommand | None = None
    """The library's own command for that; without one, RabbitMQ's shovel is used."""


@dataclass(frozen=True)
class Contender:
    name: str
    option: str
    """Options used beyond the documentation's first example; empty for that example."""
    packages: tuple[str, ...]
    """Pinned; their own dependencies are not."""
    folders: tuple[str, ...]
    """Folders of `programs`; files of a later one replace those of an earlier one."""
    setup: tuple[ProgramCommand, ...]
    processes: Mapping[str, ProgramCommand]
    kills: Mapping[str, Kill]
    failed: Failed
    pending: str = ""
    """A query on the shop's database that counts unpublished events."""
    queue: str = "access"
    """The queue that the access service consumes."""
    checkout: tuple[str, ...] = ()
    """Folders of this repository that are installed as well."""

    @property
    def title(self) -> str:
        return f"{self.name} + {self.option}" if self.option else self.name

    @property
    def slug(self) -> str:
        return self.folders[-1]
