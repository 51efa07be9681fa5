"""Looks up host names with a deadline.

The resolver has none of ours: while its servers are away it takes half a minute, in C, where a
signal to stop is not noticed.
"""

from __future__ import annotations

import socket
import threading


class _Lookup(threading.Thread):
    """One question to the resolver. It may outlast who asked it, and ends with the process."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name=f"lookup {host}", daemon=True)
        self._asked = host, port
        self.found: list[str] = []
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            entries = socket.getaddrinfo(*self._asked, type=socket.SOCK_STREAM)
            self.found = list(dict.fromkeys(str(address[0]) for *_, address in entries))
        except (OSError, UnicodeError) as error:
            self.error = error


_running: dict[tuple[str, int], _Lookup] = {}
"""Those whose answers nobody has taken yet. A slow one is awaited again, not repeated."""


def addresses(host: str, port: int, within: float) -> list[str]:
    """The addresses of `host`. Raises `OSError`, or `UnicodeError` for what is no name.

    After `within` seconds raises `TimeoutError`; the next call waits for the same answer.
    """
    lookup = _running.get((host, port))
    if lookup is None:
        lookup = _running[host, port] = _Lookup(host, port)
    lookup.join(within)
    if lookup.is_alive():
        raise TimeoutError(f"the name {host} could not be looked up within {within:.0f} s")
    _running.pop((host, port), None)
    if lookup.error is not None:
        raise lookup.error
    return lookup.found
