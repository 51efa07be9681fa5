"""How a waiting consumer is woken at once: a datagram that means nothing but "look again".

The row is the truth and the bell only the fast path: whoever waits also looks by itself every
`interval` seconds. Linux's abstract sockets leave no file behind; elsewhere the waiting is short.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys


class Bell:
    """The bell of one connection; it rings those of others. `fileno()` is readable once rung."""

    def __init__(self, broker: int, holder: int) -> None:
        self._broker = broker
        if sys.platform == "linux":
            self.interval = 0.05
            self._ear = self._mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._ear.bind(self._address(holder))
        else:
            self.interval = 0.005
            self._ear, self._mouth = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._holder = holder

    def _address(self, holder: int) -> str:
        return f"\0admit-one-broker/{self._broker}/{holder}"

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._ear.fileno()

    def ring(self, holder: int) -> None:
        """Wake `holder`. One who is gone, or has rings enough to wake up, needs no more."""
        with contextlib.suppress(OSError):
            if self._ear is self._mouth:
                self._mouth.sendto(b"!", self._address(holder))
            elif holder == self._holder:
                self._mouth.send(b"!")

    def silence(self) -> None:
        """Take all rings so far; a look at the rows must follow."""
        with contextlib.suppress(OSError):
            while self._ear.recv(1):
                pass

    def wait(self, timeout: float) -> None:
        """Return when rung, or after `timeout` seconds or `interval`, whichever is less."""
        waiting = select.poll()
        waiting.register(self._ear, select.POLLIN)
        waiting.poll(min(timeout, self.interval) * 1000)

    def close(self) -> None:
        """No more rings."""
        self._ear.close()
        self._mouth.close()
