"""Each kind of fault: what it does, to whom, for how long, and how it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from tools.system import PROCESSES

from .mail_server import Moods
from .moments import MOMENTS
from .stage import Servers, Stage

HANDS_OVER_MAIL = {"student-tasks", "mail"}
"""Who dies or stands still in the middle of a mail leaves it in doubt."""

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


def over(_: Stage, __: str) -> bool:
    """It was over as soon as it had begun."""
    return True


def in_the_middle_of_a_mail(target: str) -> int:
    return int(target in HANDS_OVER_MAIL)


def kill(stage: Stage, name: str) -> None:
    stage.system.kill(name)


def kill_all(stage: Stage, _: str) -> None:
    for name in stage.system.running():
        stage.system.kill(name)


def freeze(stage: Stage, name: str) -> None:
    stage.system.process(name).signal(signal.SIGSTOP)


def thaw(stage: Stage, name: str) -> bool:
    stage.system.process(name).signal(signal.SIGCONT)
    return True


def lay_trap(stage: Stage, target: str) -> None:
    stage.system.lay_trap(*target.split(":"))


def take_trap(stage: Stage, target: str) -> bool:
    return stage.system.take_trap(*target.split(":"))


def mail_mood(mood: str) -> Callable[[Stage, str], None]:
    return lambda stage, _: stage.system.moods.become(mood)


def good_mood(stage: Stage, _: str) -> bool:
    stage.system.moods.become(Moods.NORMAL)
    return True


def on(act: Callable[[Servers], object]) -> Callable[[Stage, str], None]:
    """A fault of the servers."""

    def begin(stage: Stage, _: str) -> None:
        if stage.servers is not None:
            act(stage.servers)

    return begin


def after(act: Callable[[Servers], object]) -> Callable[[Stage, str], bool]:
    """How a fault of the servers ends."""

    def end(stage: Stage, _: str) -> bool:
        if stage.servers is not None:
            act(stage.servers)
        return True

    return end


def open_broker(servers: Servers) -> None:
    """What was held on the way is lost, as in a network that comes back after too long."""
    servers.broker.cut()
    servers.broker.open()


def open_databases(servers: Servers) -> None:
    servers.databases.cut()
    servers.databases.open()


def end_sessions(servers: Servers) -> None:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with psycopg.connect(servers.cluster.url, autocommit=True) as connection:
        connection.execute(others)


def hold_databases(stage: Stage, _: str) -> None:
    stage.hold_databases()


def let_databases_go(stage: Stage, _: str) -> bool:
    stage.let_databases_go()
    return True


def fill_disk(servers: Servers) -> None:
    if servers.room is not None:
        servers.node.ctl("set_disk_free_limit", "1000")  # nothing warns the publishers in time
        servers.room.fill()


def free_disk(servers: Servers) -> None:
    """Make room, and start the broker again: it may have given up."""
    if servers.room is not None:
        servers.room.free()
        servers.node.kill()
        servers.node.start()


def wipe(servers: Servers) -> None:
    servers.node.kill()
    servers.node.wipe()


NO_MEMORY = ("set_vm_memory_high_watermark", "absolute", "1")
MEMORY = ("set_vm_memory_high_watermark", "0.4")
NO_DISK = ("set_disk_free_limit", "1000000GB")
DISK = ("set_disk_free_limit", "50MB")


def end_alarms(servers: Servers) -> None:
    servers.node.ctl(*MEMORY)
    servers.node.ctl(*DISK)


FAULTS = {
    "kill": Fault(
        "kill -9",
        PROCESSES,
        AT_ONCE,
        kill,
        over,
        weight=2,
        doubles_mails=in_the_middle_of_a_mail,
    ),
    "moment": Fault(
        "kill -9 at a worst moment",
        tuple(f"{name}:{key}" for key, moment in MOMENTS.items() for name in moment.processes),
        MOMENT_SECONDS,
        lay_trap,
        take_trap,
        weight=4,
        doubles_mails=lambda target: int(MOMENTS[target.partition(":")[2]].doubles_a_mail),
    ),
    "freeze": Fault(
        "SIGSTOP, SIGCONT",
        PROCESSES,
        (1.0, 12.0),
        freeze,
        thaw,
        weight=2,
        doubles_mails=in_the_middle_of_a_mail,
    ),
    "power cut": Fault(
        "kill -9 of everything", ("all",), AT_ONCE, kill_all, over, doubles_mails=lambda _: 1
    ),
    "mail later": Fault(
        "mail server: 451", ("mail",), (2.0, 5.0), mail_mood(Moods.TEMPFAIL), good_mood
    ),
    "mail late": Fault(
        "mail server: a yes too late", ("mail",), (2.0, 5.0), mail_mood(Moods.LATE), good_mood
    ),
    "mail hang up": Fault(
        "mail server: no yes at all", ("mail",), (1.0, 3.0), mail_mood(Moods.HANG_UP), good_mood
    ),
    "broker killed": Fault(
        "RabbitMQ killed, restarted",
        ("broker",),
        (1.0, 4.0),
        on(lambda servers: servers.node.kill()),
        after(lambda servers: servers.node.start()),
        on="servers",
    ),
    "broker cut": Fault(
        "RabbitMQ: connections reset",
        ("broker",),
        AT_ONCE,
        on(lambda servers: servers.broker.cut()),
        over,
        on="servers",
    ),
    "broker silent": Fault(
        "RabbitMQ: nothing gets through",
        ("broker",),
        (2.0, 8.0),
        on(lambda servers: servers.broker.silence()),
        after(open_broker),
        on="servers",
    ),
    "broker half-open": Fault(
        "RabbitMQ: half-open connections",
        ("broker",),
        (2.0, 8.0),
        on(lambda servers: servers.broker.deafen()),
        after(open_broker),
        on="servers",
    ),
    "broker slow": Fault(
        "RabbitMQ: slow network",
        ("broker",),
        (2.0, 8.0),
        on(lambda servers: servers.broker.slow(0.2)),
        after(lambda servers: servers.broker.open()),
        on="servers",
    ),
    "broker memory": Fault(
        "RabbitMQ: memory alarm",
        ("broker",),
        (2.0, 8.0),
        on(lambda servers: servers.node.ctl(*NO_MEMORY)),
        after(lambda servers: servers.node.ctl(*MEMORY)),
        on="servers",
    ),
    "broker disk": Fault(
        "RabbitMQ: disk alarm",
        ("broker",),
        (2.0, 8.0),
        on(lambda servers: servers.node.ctl(*NO_DISK)),
        after(lambda servers: servers.node.ctl(*DISK)),
        on="servers",
    ),
    "broker disk full": Fault(
        "RabbitMQ: its disk is full",
        ("broker",),
        (5.0, 10.0),
        on(fill_disk),
        after(free_disk),
        on="a small disk",
    ),
    "broker wiped": Fault(
        "RabbitMQ: all its data is gone",
        ("broker",),
        (1.0, 2.0),
        on(wipe),
        after(lambda servers: servers.node.start()),
        on="a small disk",
    ),
    "database crash": Fault(
        "PostgreSQL crashes, restarted",
        ("databases",),
        (0.5, 3.0),
        on(lambda servers: servers.cluster.crash()),
        after(lambda servers: servers.cluster.start()),
        on="servers",
        doubles_mails=lambda _: 1,
    ),
    "database sessions": Fault(
        "PostgreSQL: sessions ended",
        ("databases",),
        AT_ONCE,
        on(end_sessions),
        over,
        on="servers",
        doubles_mails=lambda _: 1,
    ),
    "database silent": Fault(
        "PostgreSQL: nothing gets through",
        ("databases",),
        (1.0, 6.0),
        on(lambda servers: servers.databases.silence()),
        after(open_databases),
        on="servers",
        doubles_mails=lambda _: 1,
    ),
    "database slow": Fault(
        "PostgreSQL: slow network",
        ("databases",),
        (2.0, 5.0),
        on(lambda servers: servers.databases.slow(0.02)),
        after(lambda servers: servers.databases.open()),
        on="servers",
    ),
    "database held": Fault(
        "SQLite: held by somebody else",
        ("databases",),
        (1.0, 4.0),
        hold_databases,
        let_databases_go,
        on="embedded",
    ),
}
