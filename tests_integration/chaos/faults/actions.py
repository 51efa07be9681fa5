"""What a fault does to the stage, and how it ends. Each end returns whether it really happened."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psycopg

from tests_integration.chaos.stage.crash_points import MAILS_AT_ONCE
from tests_integration.chaos.stage.mail_server import Mode
from tests_integration.chaos.stage.stage import Servers, Stage

HANDS_OVER_MAIL = {"student-tasks", "mail"}
"""Who dies or stands still in the middle of mails leaves them in doubt."""


def already_over(_: Stage, __: str) -> bool:
    """It was over as soon as it had begun."""
    return True


def in_the_middle_of_mails(target: str) -> int:
    return MAILS_AT_ONCE if target in HANDS_OVER_MAIL else 0


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


def arm(stage: Stage, target: str) -> None:
    stage.system.arm(*target.split(":"))


def disarm(stage: Stage, target: str) -> bool:
    return stage.system.disarm(*target.split(":"))


def mail_mode(mode: str) -> Callable[[Stage, str], None]:
    return lambda stage, _: stage.system.mail_mode.switch_to(mode)


def end_mail_mode(stage: Stage, _: str) -> bool:
    stage.system.mail_mode.switch_to(Mode.NORMAL)
    return True


def on(action: Callable[[Servers], object]) -> Callable[[Stage, str], None]:
    """A fault of the servers."""

    def begin(stage: Stage, _: str) -> None:
        if stage.servers is not None:
            action(stage.servers)

    return begin


def after(action: Callable[[Servers], object]) -> Callable[[Stage, str], bool]:
    """How a fault of the servers ends."""

    def end(stage: Stage, _: str) -> bool:
        if stage.servers is not None:
            action(stage.servers)
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


def release_databases(stage: Stage, _: str) -> bool:
    stage.release_databases()
    return True


def fill_disk(servers: Servers) -> None:
    if servers.disk is not None:
        servers.node.ctl("set_disk_free_limit", "1000")  # nothing warns the publishers in time
        servers.disk.fill()


def free_disk(servers: Servers) -> None:
    """Make room, and start the broker again: it may have given up."""
    if servers.disk is not None:
        servers.disk.free()
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
