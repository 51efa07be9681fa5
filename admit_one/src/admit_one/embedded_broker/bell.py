"""Wakes a waiting consumer at once, with a datagram that means only "look at the rows".

A wake-up may be lost: a waiting consumer also looks every `interval` seconds. On Linux, abstract
sockets leave no file behind; other systems can wake only their own process, so they poll faster.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys


class Bell:
    """The bell of one connection; it rings those of others. `fileno()` is readable once it rang."""

    def __init__(self, broker: int, holder: int) -> None:
        self._broker = broker
        if sys.platform == "linux":
            self.interval = 0.05
            self._receiver = self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._receiver.bind(self._address(holder))
        else:
            self.interval = 0.005
            self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._holder = holder

    def _address(self, holder: int) -> str:
        return f"\0admit-one-broker/{self._broker}/{holder}"

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._receiver.fileno()

    def ring(self, holder: int) -> None:
        """Wake `holder`, unless it is gone or its socket is full of rings already."""
        with contextlib.suppress(OSError):
            if self._receiver is self._sender:
                self._sender.sendto(b"!", self._address(holder))
            elif holder == self._holder:
                self._sender.send(b"!")

    def silence(self) -> None:
        """Discard all rings so far; look at the rows afterwards."""
        with contextlib.suppress(OSError):
            while self._receiver.recv(1):
                pass

    def wait(self, timeout: float) -> None:
        """Return when rung, or after `timeout` seconds or `interval`, whichever is less."""
        waiting = select.poll()
        waiting.register(self._receiver, select.POLLIN)
        waiting.poll(min(timeout, self.interval) * 1000)

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()
