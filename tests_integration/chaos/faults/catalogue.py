"""Each kind of fault: what it does, to which target, for how long, and how it ends.

A fault is a generator function: it begins the fault, yields, and ends it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import psycopg

from tests_integration.chaos.stage.crash_points import CRASH_POINTS, MAILS_AT_ONCE, armed
from tests_integration.chaos.stage.mail_server import Mode
from tests_integration.chaos.stage.stage import PrivateServers, Stage
from tools.system.gate import Gate
from tools.system.system import PROCESSES

INSTANT = (0.0, 0.0)

CRASH_POINT_SECONDS = (5.0, 5.0)
"""Seconds within which the process must reach its crash point."""

HANDS_OVER_MAIL = {"student-tasks", "mail"}
"""If one of these dies or freezes, the mails in hand may be sent a second time."""

END_MEMORY_ALARM = ("set_vm_memory_high_watermark", "0.4")
END_DISK_ALARM = ("set_disk_free_limit", "50MB")
"""Arguments for rabbitmqctl."""


class DidNotHappen(Exception):
    """The time of a fault is over, and the process never reached its crash point."""


@dataclass(frozen=True)
class Fault:
    """`inject` causes the fault for the time of its `with` block, which may raise `DidNotHappen`.

    `on` is the kind of stage that it needs, `weight` its relative frequency.
    `doubles_mails` returns how many mails may arrive twice because of it.
    """

    title: str
    targets: tuple[str, ...]
    seconds: tuple[float, float]
    inject: Callable[[Stage, str], AbstractContextManager[None]]
    on: str
    weight: int
    doubles_mails: Callable[[str], int]

    def touches(self, target: str) -> frozenset[str]:
        """What no other fault may target at the same time."""
        return frozenset(PROCESSES) if target == "all" else frozenset({target.partition(":")[0]})


FAULTS: dict[str, Fault] = {}


def no_mails(_: str) -> int:
    return 0


def all_mails(_: str) -> int:
    return MAILS_AT_ONCE


def mails_handed_over(target: str) -> int:
    return MAILS_AT_ONCE if target in HANDS_OVER_MAIL else 0


def fault(
    name: str,
    title: str,
    *targets: str,
    seconds: tuple[float, float] = INSTANT,
    on: str = "both",
    weight: int = 1,
    doubles_mails: Callable[[str], int] = no_mails,
) -> Callable[[Callable[[Stage, str], Iterator[None]]], None]:
    """Register a function of the stage and the target."""

    def register(inject: Callable[[Stage, str], Iterator[None]]) -> None:
        FAULTS[name] = Fault(
            title, targets, seconds, contextmanager(inject), on, weight, doubles_mails
        )

    return register


def server_fault(
    name: str,
    title: str,
    seconds: tuple[float, float] = INSTANT,
    *,
    on: str = "servers",
    doubles_mails: Callable[[str], int] = no_mails,
) -> Callable[[Callable[[PrivateServers], Iterator[None]]], None]:
    """Register a function of the servers; the first word of `name` is the target."""
    target = name.partition(" ")[0]

    def register(inject: Callable[[PrivateServers], Iterator[None]]) -> None:
        def on_stage(stage: Stage, _: str) -> Iterator[None]:
            assert stage.servers is not None
            return inject(stage.servers)

        fault(name, title, target, seconds=seconds, on=on, doubles_mails=doubles_mails)(on_stage)

    return register


@fault("kill", "kill -9", *PROCESSES, weight=2, doubles_mails=mails_handed_over)
def kill(stage: Stage, name: str) -> Iterator[None]:
    stage.system.kill(name)
    yield


@fault(
    "crash point",
    "kill -9 at a crash point",
    *(f"{name}:{key}" for key, point in CRASH_POINTS.items() for name in point.processes),
    seconds=CRASH_POINT_SECONDS,
    weight=4,
    doubles_mails=lambda target: CRASH_POINTS[target.partition(":")[2]].doubles_mails,
)
def crash_at_a_point(stage: Stage, target: str) -> Iterator[None]:
    file = armed(stage.system.folder, *target.split(":"))
    file.touch()
    yield
    # A process removes it before it dies there; if it still exists, no process reached the point.
    with suppress(FileNotFoundError):
        file.unlink()
        raise DidNotHappen


@fault(
    "freeze",
    "SIGSTOP, SIGCONT",
    *PROCESSES,
    seconds=(1.0, 12.0),
    weight=2,
    doubles_mails=mails_handed_over,
)
def freeze(stage: Stage, name: str) -> Iterator[None]:
    stage.system.process(name).signal(signal.SIGSTOP)
    yield
    stage.system.process(name).signal(signal.SIGCONT)


@fault("power cut", "kill -9 of everything", "all", doubles_mails=all_mails)
def cut_power(stage: Stage, _: str) -> Iterator[None]:
    for name in stage.system.running():
        stage.system.kill(name)
    yield


def mail_mode(mode: str) -> Callable[[Stage, str], Iterator[None]]:
    def inject(stage: Stage, _: str) -> Iterator[None]:
        stage.system.mail_mode.switch_to(mode)
        yield
        stage.system.mail_mode.switch_to(Mode.NORMAL)

    return inject


for name, title, seconds, mode in (
    ("mail later", "mail server: 451", (2.0, 5.0), Mode.TEMPFAIL),
    ("mail late", "mail server: 250 after the timeout", (2.0, 5.0), Mode.LATE),
    ("mail hang up", "mail server: hangs up before 250", (1.0, 3.0), Mode.HANG_UP),
):
    fault(name, title, "mail", seconds=seconds)(mail_mode(mode))


@server_fault("broker killed", "RabbitMQ killed, restarted", (1.0, 4.0))
def kill_broker(servers: PrivateServers) -> Iterator[None]:
    servers.node.kill()
    yield
    servers.node.start()


@server_fault("broker cut", "RabbitMQ: connections reset")
def cut_off_broker(servers: PrivateServers) -> Iterator[None]:
    servers.broker.cut()
    yield


@server_fault("broker silent", "RabbitMQ: nothing gets through", (2.0, 8.0))
def silence_broker(servers: PrivateServers) -> Iterator[None]:
    servers.broker.silence()
    yield
    reconnect(servers.broker)


@server_fault("broker half-open", "RabbitMQ: half-open connections", (2.0, 8.0))
def deafen_broker(servers: PrivateServers) -> Iterator[None]:
    servers.broker.deafen()
    yield
    reconnect(servers.broker)


def reconnect(gate: Gate) -> None:
    """Let traffic through again, but drop what was held: a network loses what waits too long."""
    gate.cut()
    gate.open()


@server_fault("broker slow", "RabbitMQ: slow network", (2.0, 8.0))
def slow_broker(servers: PrivateServers) -> Iterator[None]:
    servers.broker.slow(0.2)
    yield
    servers.broker.open()


@server_fault("broker memory", "RabbitMQ: memory alarm", (2.0, 8.0))
def alarm_memory(servers: PrivateServers) -> Iterator[None]:
    servers.node.ctl("set_vm_memory_high_watermark", "absolute", "1")
    yield
    servers.node.ctl(*END_MEMORY_ALARM)


@server_fault("broker disk", "RabbitMQ: disk alarm", (2.0, 8.0))
def alarm_disk(servers: PrivateServers) -> Iterator[None]:
    servers.node.ctl("set_disk_free_limit", "1000000GB")
    yield
    servers.node.ctl(*END_DISK_ALARM)


def end_alarms(servers: PrivateServers) -> None:
    servers.node.ctl(*END_MEMORY_ALARM)
    servers.node.ctl(*END_DISK_ALARM)


@server_fault("broker disk full", "RabbitMQ: disk full", (5.0, 10.0), on="a small disk")
def fill_disk(servers: PrivateServers) -> Iterator[None]:
    assert servers.disk is not None
    servers.node.ctl("set_disk_free_limit", "1000")  # too low to block publishers in time
    servers.disk.fill()
    yield
    servers.disk.free()
    # It may have crashed.
    servers.node.kill()
    servers.node.start()


@server_fault("broker wiped", "RabbitMQ: all data deleted", (1.0, 2.0), on="a small disk")
def wipe_broker(servers: PrivateServers) -> Iterator[None]:
    servers.node.kill()
    servers.node.wipe()
    yield
    servers.node.start()


@server_fault(
    "database crash", "PostgreSQL crashes, restarted", (0.5, 3.0), doubles_mails=all_mails
)
def crash_databases(servers: PrivateServers) -> Iterator[None]:
    servers.cluster.crash()
    yield
    servers.cluster.start()


@server_fault("database sessions", "PostgreSQL: sessions ended", doubles_mails=all_mails)
def end_sessions(servers: PrivateServers) -> Iterator[None]:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with psycopg.connect(servers.cluster.url, autocommit=True) as connection:
        connection.execute(others)
    yield


@server_fault(
    "database silent", "PostgreSQL: nothing gets through", (1.0, 6.0), doubles_mails=all_mails
)
def silence_databases(servers: PrivateServers) -> Iterator[None]:
    servers.databases.silence()
    yield
    reconnect(servers.databases)


@server_fault("database slow", "PostgreSQL: slow network", (2.0, 5.0))
def slow_databases(servers: PrivateServers) -> Iterator[None]:
    servers.databases.slow(0.02)
    yield
    servers.databases.open()


@fault(
    "database held",
    "SQLite: locked by another process",
    "database",
    seconds=(1.0, 4.0),
    on="embedded",
)
def hold_databases(stage: Stage, _: str) -> Iterator[None]:
    stage.hold_databases()
    yield
    stage.release_databases()
