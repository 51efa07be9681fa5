"""Each kind of fault: what it does, to whom, for how long, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests_integration.chaos.stage.mail_server import Moods
from tests_integration.chaos.stage.moments import MAILS_AT_ONCE, MOMENTS
from tests_integration.chaos.stage.stage import Stage
from tools.system.system import PROCESSES

from . import acts

AT_ONCE = (0.0, 0.0)
MOMENT_SECONDS = (5.0, 5.0)
"""For the process to come to the moment."""


@dataclass(frozen=True)
class Fault:
    """`begin` and `end` get the target; `end` returns whether it really happened.

    `on` says where it is possible, `weight` how often it comes.
    `doubles_mails` gives how many mails may then come twice.
    """

    title: str
    targets: tuple[str, ...]
    seconds: tuple[float, float]
    begin: Callable[[Stage, str], None]
    end: Callable[[Stage, str], bool]
    on: str = "both"
    weight: int = 1
    doubles_mails: Callable[[str], int] = lambda _: 0

    def touches(self, target: str) -> frozenset[str]:
        """What nothing else may be done to meanwhile."""
        return frozenset(PROCESSES) if target == "all" else frozenset({target.partition(":")[0]})


FAULTS = {
    "kill": Fault(
        "kill -9",
        PROCESSES,
        AT_ONCE,
        acts.kill,
        acts.over,
        weight=2,
        doubles_mails=acts.in_the_middle_of_mails,
    ),
    "moment": Fault(
        "kill -9 at a worst moment",
        tuple(f"{name}:{key}" for key, moment in MOMENTS.items() for name in moment.processes),
        MOMENT_SECONDS,
        acts.lay_trap,
        acts.take_trap,
        weight=4,
        doubles_mails=lambda target: MOMENTS[target.partition(":")[2]].doubles_mails,
    ),
    "freeze": Fault(
        "SIGSTOP, SIGCONT",
        PROCESSES,
        (1.0, 12.0),
        acts.freeze,
        acts.thaw,
        weight=2,
        doubles_mails=acts.in_the_middle_of_mails,
    ),
    "power cut": Fault(
        "kill -9 of everything",
        ("all",),
        AT_ONCE,
        acts.kill_all,
        acts.over,
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "mail later": Fault(
        "mail server: 451", ("mail",), (2.0, 5.0), acts.mail_mood(Moods.TEMPFAIL), acts.good_mood
    ),
    "mail late": Fault(
        "mail server: a yes too late",
        ("mail",),
        (2.0, 5.0),
        acts.mail_mood(Moods.LATE),
        acts.good_mood,
    ),
    "mail hang up": Fault(
        "mail server: no yes at all",
        ("mail",),
        (1.0, 3.0),
        acts.mail_mood(Moods.HANG_UP),
        acts.good_mood,
    ),
    "broker killed": Fault(
        "RabbitMQ killed, restarted",
        ("broker",),
        (1.0, 4.0),
        acts.on(lambda servers: servers.node.kill()),
        acts.after(lambda servers: servers.node.start()),
        on="servers",
    ),
    "broker cut": Fault(
        "RabbitMQ: connections reset",
        ("broker",),
        AT_ONCE,
        acts.on(lambda servers: servers.broker.cut()),
        acts.over,
        on="servers",
    ),
    "broker silent": Fault(
        "RabbitMQ: nothing gets through",
        ("broker",),
        (2.0, 8.0),
        acts.on(lambda servers: servers.broker.silence()),
        acts.after(acts.open_broker),
        on="servers",
    ),
    "broker half-open": Fault(
        "RabbitMQ: half-open connections",
        ("broker",),
        (2.0, 8.0),
        acts.on(lambda servers: servers.broker.deafen()),
        acts.after(acts.open_broker),
        on="servers",
    ),
    "broker slow": Fault(
        "RabbitMQ: slow network",
        ("broker",),
        (2.0, 8.0),
        acts.on(lambda servers: servers.broker.slow(0.2)),
        acts.after(lambda servers: servers.broker.open()),
        on="servers",
    ),
    "broker memory": Fault(
        "RabbitMQ: memory alarm",
        ("broker",),
        (2.0, 8.0),
        acts.on(lambda servers: servers.node.ctl(*acts.NO_MEMORY)),
        acts.after(lambda servers: servers.node.ctl(*acts.MEMORY)),
        on="servers",
    ),
    "broker disk": Fault(
        "RabbitMQ: disk alarm",
        ("broker",),
        (2.0, 8.0),
        acts.on(lambda servers: servers.node.ctl(*acts.NO_DISK)),
        acts.after(lambda servers: servers.node.ctl(*acts.DISK)),
        on="servers",
    ),
    "broker disk full": Fault(
        "RabbitMQ: its disk is full",
        ("broker",),
        (5.0, 10.0),
        acts.on(acts.fill_disk),
        acts.after(acts.free_disk),
        on="a small disk",
    ),
    "broker wiped": Fault(
        "RabbitMQ: all its data is gone",
        ("broker",),
        (1.0, 2.0),
        acts.on(acts.wipe),
        acts.after(lambda servers: servers.node.start()),
        on="a small disk",
    ),
    "database crash": Fault(
        "PostgreSQL crashes, restarted",
        ("databases",),
        (0.5, 3.0),
        acts.on(lambda servers: servers.cluster.crash()),
        acts.after(lambda servers: servers.cluster.start()),
        on="servers",
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "database sessions": Fault(
        "PostgreSQL: sessions ended",
        ("databases",),
        AT_ONCE,
        acts.on(acts.end_sessions),
        acts.over,
        on="servers",
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "database silent": Fault(
        "PostgreSQL: nothing gets through",
        ("databases",),
        (1.0, 6.0),
        acts.on(lambda servers: servers.databases.silence()),
        acts.after(acts.open_databases),
        on="servers",
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "database slow": Fault(
        "PostgreSQL: slow network",
        ("databases",),
        (2.0, 5.0),
        acts.on(lambda servers: servers.databases.slow(0.02)),
        acts.after(lambda servers: servers.databases.open()),
        on="servers",
    ),
    "database held": Fault(
        "SQLite: held by somebody else",
        ("databases",),
        (1.0, 4.0),
        acts.hold_databases,
        acts.let_databases_go,
        on="embedded",
    ),
}
