"""TCP ports on this machine: which ones we take, and what happens when one is taken."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from functools import cache
from itertools import cycle

LOCAL = "127.0.0.1"

BLOCK = 200
BLOCKS = range(20_000, 32_000, BLOCK)
"""Below what Linux and macOS give out by themselves, to connections and to servers on any port.

A process of ours that is killed and started again needs the port that it had,
and nobody may have got it meanwhile.
"""

OPERATORS_PORTS = ("payment_operators", "student_operators")


class PortTaken(Exception):
    """Another program listens on a port we need; the message says how to choose another."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the system listens on this machine."""

    payment: int = 8000
    student: int = 8001
    smtp: int = 1025
    mail: int = 8025
    payment_operators: int = 8010
    student_operators: int = 8011

    @classmethod
    def free(cls) -> Ports:
        """Ports nobody uses, for tests."""
        return cls(**{field.name: free_port() for field in fields(cls)})

    @classmethod
    def from_environment(cls, *, but: Collection[str] = ()) -> Ports:
        """PAYMENT_PORT, STUDENT_PORT, SMTP_PORT and so on, or the usual ones.

        Raises `PortTaken` for the first that is in use, `ValueError` for what is not a port.
        What `but` names is not needed, and may be in use.
        """
        needed = [field for field in fields(cls) if field.name not in but]
        return cls(**{field.name: _chosen(field.name, field.default) for field in needed})


def _chosen(name: str, default: object) -> int:
    variable = f"{name.upper()}_PORT"
    value = os.environ.get(variable) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ValueError(f"{variable}: expected a port from 1 to 65535, got {value!r}")
    if is_taken(int(value)):
        raise PortTaken(
            f"Port {value} is taken by another program. "
            f"Choose another one with {variable}, for example: {variable}={free_port()} make demo"
        )
    return int(value)


def free_port() -> int:
    """A port that nobody uses and that no other process gets from here while this one lives.

    Raises OSError if every block of ports belongs to another process, or all of ours are in use.
    """
    ours = _ours()
    for _ in range(BLOCK):
        port = next(ours)
        if not is_taken(port):
            return port
    raise OSError(f"All {BLOCK} ports that this process may use are in use")


_claims: list[socket.socket] = []
"""Kept, for a socket that nobody holds is closed."""


@cache
def _ours() -> Iterator[int]:
    """The ports of one block, over and over, so that the one just given back comes last.

    Holding a block's first port claims it; the system takes the claim back when we end.
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


def is_taken(port: int) -> bool:
    """Whether a program listens on `port` already."""
    with socket.socket() as probe:
        # As servers do: a port whose last connection has only just closed is free.
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
