"""Each kind of fault: what it does, to whom, for how long, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests_integration.chaos.stage.crash_points import CRASH_POINTS, MAILS_AT_ONCE
from tests_integration.chaos.stage.mail_server import Mode
from tests_integration.chaos.stage.stage import Stage
from tools.system.system import PROCESSES

from . import actions

AT_ONCE = (0.0, 0.0)
CRASH_POINT_SECONDS = (5.0, 5.0)
"""For the process to come to the point."""


@dataclass(frozen=True)
class Fault:
    """`begin` and `end` get the target; `end` returns whether it really happened.

    `on` tells where it is possible, `weight` how often it comes.
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
        actions.kill,
        actions.already_over,
        weight=2,
        doubles_mails=actions.in_the_middle_of_mails,
    ),
    "crash point": Fault(
        "kill -9 at a crash point",
        tuple(f"{name}:{key}" for key, point in CRASH_POINTS.items() for name in point.processes),
        CRASH_POINT_SECONDS,
        actions.arm,
        actions.disarm,
        weight=4,
        doubles_mails=lambda target: CRASH_POINTS[target.partition(":")[2]].doubles_mails,
    ),
    "freeze": Fault(
        "SIGSTOP, SIGCONT",
        PROCESSES,
        (1.0, 12.0),
        actions.freeze,
        actions.thaw,
        weight=2,
        doubles_mails=actions.in_the_middle_of_mails,
    ),
    "power cut": Fault(
        "kill -9 of everything",
        ("all",),
        AT_ONCE,
        actions.kill_all,
        actions.already_over,
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "mail later": Fault(
        "mail server: 451",
        ("mail",),
        (2.0, 5.0),
        actions.mail_mode(Mode.TEMPFAIL),
        actions.end_mail_mode,
    ),
    "mail late": Fault(
        "mail server: 250, too late",
        ("mail",),
        (2.0, 5.0),
        actions.mail_mode(Mode.LATE),
        actions.end_mail_mode,
    ),
    "mail hang up": Fault(
        "mail server: hangs up before 250",
        ("mail",),
        (1.0, 3.0),
        actions.mail_mode(Mode.HANG_UP),
        actions.end_mail_mode,
    ),
    "broker killed": Fault(
        "RabbitMQ killed, restarted",
        ("broker",),
        (1.0, 4.0),
        actions.on(lambda servers: servers.node.kill()),
        actions.after(lambda servers: servers.node.start()),
        on="servers",
    ),
    "broker cut": Fault(
        "RabbitMQ: connections reset",
        ("broker",),
        AT_ONCE,
        actions.on(lambda servers: servers.broker.cut()),
        actions.already_over,
        on="servers",
    ),
    "broker silent": Fault(
        "RabbitMQ: nothing gets through",
        ("broker",),
        (2.0, 8.0),
        actions.on(lambda servers: servers.broker.silence()),
        actions.after(actions.open_broker),
        on="servers",
    ),
    "broker half-open": Fault(
        "RabbitMQ: half-open connections",
        ("broker",),
        (2.0, 8.0),
        actions.on(lambda servers: servers.broker.deafen()),
        actions.after(actions.open_broker),
        on="servers",
    ),
    "broker slow": Fault(
        "RabbitMQ: slow network",
        ("broker",),
        (2.0, 8.0),
        actions.on(lambda servers: servers.broker.slow(0.2)),
        actions.after(lambda servers: servers.broker.open()),
        on="servers",
    ),
    "broker memory": Fault(
        "RabbitMQ: memory alarm",
        ("broker",),
        (2.0, 8.0),
        actions.on(lambda servers: servers.node.ctl(*actions.NO_MEMORY)),
        actions.after(lambda servers: servers.node.ctl(*actions.MEMORY)),
        on="servers",
    ),
    "broker disk": Fault(
        "RabbitMQ: disk alarm",
        ("broker",),
        (2.0, 8.0),
        actions.on(lambda servers: servers.node.ctl(*actions.NO_DISK)),
        actions.after(lambda servers: servers.node.ctl(*actions.DISK)),
        on="servers",
    ),
    "broker disk full": Fault(
        "RabbitMQ: its disk is full",
        ("broker",),
        (5.0, 10.0),
        actions.on(actions.fill_disk),
        actions.after(actions.free_disk),
        on="a small disk",
    ),
    "broker wiped": Fault(
        "RabbitMQ: all its data is gone",
        ("broker",),
        (1.0, 2.0),
        actions.on(actions.wipe),
        actions.after(lambda servers: servers.node.start()),
        on="a small disk",
    ),
    "database crash": Fault(
        "PostgreSQL crashes, restarted",
        ("databases",),
        (0.5, 3.0),
        actions.on(lambda servers: servers.cluster.crash()),
        actions.after(lambda servers: servers.cluster.start()),
        on="servers",
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "database sessions": Fault(
        "PostgreSQL: sessions ended",
        ("databases",),
        AT_ONCE,
        actions.on(actions.end_sessions),
        actions.already_over,
        on="servers",
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "database silent": Fault(
        "PostgreSQL: nothing gets through",
        ("databases",),
        (1.0, 6.0),
        actions.on(lambda servers: servers.databases.silence()),
        actions.after(actions.open_databases),
        on="servers",
        doubles_mails=lambda _: MAILS_AT_ONCE,
    ),
    "database slow": Fault(
        "PostgreSQL: slow network",
        ("databases",),
        (2.0, 5.0),
        actions.on(lambda servers: servers.databases.slow(0.02)),
        actions.after(lambda servers: servers.databases.open()),
        on="servers",
    ),
    "database held": Fault(
        "SQLite: held by somebody else",
        ("databases",),
        (1.0, 4.0),
        actions.hold_databases,
        actions.release_databases,
        on="embedded",
    ),
}
