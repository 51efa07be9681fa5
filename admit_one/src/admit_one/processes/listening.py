"""A socket to listen on, by IPv4 or IPv6, and whose fault it is when there is none."""

from __future__ import annotations

import errno
import os
import socket

EVERY_ADDRESS = "::"
"""Of IPv4 and of IPv6; `0.0.0.0` is every one of IPv4 only."""

PORT_FAULTS = {errno.EADDRINUSE, errno.EACCES, errno.EPERM}


class CannotListen(Exception):
    """Nobody can listen there; says what was expected instead."""


class WrongAddress(CannotListen):
    """The address is none of this machine's."""


class PortNotFree(CannotListen):
    """The port cannot be had."""


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens on `port` of `address`. Raises `WrongAddress` or `PortNotFree`."""
    host = address.removeprefix("[").removesuffix("]")
    expected_address = f"expected an address of this machine, got {address!r}"
    expected_port = f"expected a free port of {address}, got {port}"
    if not 0 <= port <= 65_535:
        raise PortNotFree(f"{expected_port}: ports end at 65535")
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name of both families, such as localhost, is taken for the one that every client has.
        family, *_, at = min(infos, key=lambda info: info[0] != socket.AF_INET)
        both = at[0] == EVERY_ADDRESS and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        if error.errno in PORT_FAULTS:
            raise PortNotFree(f"{expected_port}: {_reason(error)}") from None
        raise WrongAddress(f"{expected_address}: {_reason(error)}") from None
    except UnicodeError:  # a name that no resolver can be given
        raise WrongAddress(expected_address) from None


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    return os.strerror(error.errno or 0)  # Python's own words repeat the address


def url_of(address: str, port: int) -> str:
    """How a browser is given it."""
    host = f"[{address}]" if ":" in address and not address.startswith("[") else address
    return f"http://{host}:{port}"
