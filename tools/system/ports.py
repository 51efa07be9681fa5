"""TCP ports on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import cycle

LOCAL = "127.0.0.1"

BLOCK = 200
BLOCKS = range(20_000, 32_000, BLOCK)
"""Below the ephemeral ports of Linux and macOS.

A process that is killed and restarted needs the same port, so nobody else may get it meanwhile.
"""

OPERATORS_PORTS = ("payment_operators", "student_operators")


class PortTaken(Exception):
    """Ports are taken by other programs; the message says how to choose others."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports on which the system listens."""

    payment: int = 8000
    student: int = 8001
    smtp: int = 1025
    mail: int = 8025
    payment_operators: int = 8010
    student_operators: int = 8011

    @classmethod
    def free(cls) -> Ports:
        return cls(**{field.name: free_port() for field in fields(cls)})

    @classmethod
    def from_environment(cls, *, but: Collection[str] = ()) -> Ports:
        """PAYMENT_PORT, STUDENT_PORT, SMTP_PORT and so on, or the defaults.

        Raises `PortTaken` for those that are in use, `ValueError` if one is not a port.
        Those in `but` are not needed, so they may be in use.
        """
        needed = [field for field in fields(cls) if field.name not in but]
        ports = {field.name: _chosen(field.name, field.default) for field in needed}
        if taken := [name for name, port in ports.items() if is_taken(port)]:
            raise PortTaken(_others(taken, ports))
        return cls(**ports)


def _chosen(name: str, default: object) -> int:
    variable = _variable(name)
    value = os.environ.get(variable) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ValueError(f"{variable}: expected a port from 1 to 65535, got {value!r}")
    return int(value)


def _others(taken: Sequence[str], ports: Mapping[str, int]) -> str:
    numbers = ", ".join(str(ports[name]) for name in taken)
    others = " ".join(f"{_variable(name)}={free_port()}" for name in taken)
    return (
        f"Taken by other programs: port {numbers}. Choose others, for example: {others} make demo"
    )


def _variable(name: str) -> str:
    return f"{name.upper()}_PORT"


def free_port() -> int:
    """A free port that no other process gets from this function while this process lives.

    Raises OSError if all blocks are claimed by other processes, or all ports of ours are in use.
    """
    block = _claimed_block()
    for _ in range(BLOCK):
        port = next(block)
        if not is_taken(port):
            return port
    raise OSError(f"All {BLOCK} ports of this process are in use")


_claims: list[socket.socket] = []
"""Keeps the sockets from being garbage-collected, which would close them."""


@cache
def _claimed_block() -> Iterator[int]:
    """Claim a block of ports; yields them in a cycle, so that a freed port is reused last.

    Binding the block's first port claims it until this process ends.
    """
    for first in BLOCKS:
        claim = socket.socket()
        try:
            claim.bind((LOCAL, first))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return cycle(range(first + 1, first + BLOCK))
    raise OSError(f"Every block of {BLOCK} ports from {BLOCKS.start} to {BLOCKS.stop} is claimed")


def use_no_proxy_here() -> None:
    """Let this process and its children reach this machine's own ports past any proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    without = ",".join(filter(None, (given, LOCAL, "localhost", "::1")))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = without


def is_taken(port: int) -> bool:
    """Whether a program listens on `port` already."""
    with socket.socket() as probe:
        # As servers do, so that connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, port))
        except OSError:
            return True
        return False


def answers(port: int, host: str = LOCAL) -> bool:
    """Whether a connection to `port` is accepted."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
