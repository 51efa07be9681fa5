"""A dialogue with a mail server: one command, one whole reply that fits it, and nothing unread.

Anything else (a reply that comes early, twice or in no known form, one that does not fit its
command, silence) ends the dialogue: from then on, nobody knows which reply belongs to what.
"""

from __future__ import annotations

import fcntl
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from admit_one.masking import harmless, mask

MAX_LINE, MAX_REPLY, MAX_SHOWN = 8_192, 65_536, 1_000
"""Bytes. RFC 5321 allows 512 a line; some servers send more."""

TICK = 0.5
"""Seconds between two looks at `go_on` while a reply is awaited."""

LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Broken(Exception):
    """The dialogue is over, and the connection closed; the text is why, without secrets."""


class Reply(NamedTuple):
    """A whole reply; RFC 5321 has an unknown code understood by its first digit, its `kind`."""

    code: int
    lines: Sequence[bytes]
    """The text of each line, as it came."""

    @property
    def kind(self) -> int:
        return self.code // 100

    @property
    def text(self) -> str:
        """All of it on one line, to be shown."""
        return shown(b" ".join(self.lines))

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()


class Dialogue:
    """Commands and replies over one connection. Everything raises `Broken`, and only that."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._unread = bytearray()
        self._why_over = ""
        self.allow(seconds)

    @property
    def is_over(self) -> bool:
        return bool(self._why_over)

    @property
    def our_address(self) -> str:
        """This end of the connection."""
        try:
            address: str = self._sock.getsockname()[0]
        except OSError as error:
            self._end(describe(error))
        return address

    def allow(self, seconds: float) -> None:
        """From now on, all that follows may take so long, however slowly the server trickles."""
        self._until = time.monotonic() + seconds

    def command(self, line: str, *, fits: str) -> Reply:
        """Send a command and read its reply. `fits` has the first digits that a reply may have."""
        if not line.isprintable():  # a line break would make two commands of it
            self._end("a command with unprintable characters was not sent")
        self.require_nothing_unread()
        self.put(line.encode() + b"\r\n")
        return self.reply(fits=fits)

    def put(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._require_open()
        try:
            self._sock.settimeout(self._left())
            self._sock.sendall(data)
        except OSError as error:
            self._end(describe(error))

    def reply(self, *, fits: str, go_on: Callable[[], bool] = lambda: True) -> Reply:
        """The next reply. `go_on` is called often meanwhile; False ends the dialogue."""
        self._require_open()
        code, lines, size = b"", list[bytes](), 0
        while True:
            line = self._line(go_on)
            size += len(line)
            match = LINE.fullmatch(line)
            if match is None or size > MAX_REPLY or (code and match[1] != code):
                self._end(f"a malformed reply: {shown(line)}")
            code = match[1]
            lines.append(match[3] or b"")
            if match[2] != b"-":
                break
        reply = Reply(int(code), lines)
        if str(reply.kind) not in fits:
            self._end(f"a reply that does not fit: {reply}")
        return reply

    def require_nothing_unread(self) -> None:
        """What the server says unasked would be taken for the reply to the next command."""
        self._require_open()
        self._left()
        try:
            self._sock.settimeout(0.0)
            early = bytes(self._unread) or self._sock.recv(MAX_LINE)
        except NOTHING_YET:
            return
        except OSError as error:
            self._end(describe(error))
        self._end(f"an unexpected reply: {shown(early)}" if early else "the server hung up")

    def require_received(self) -> None:
        """What the server said before it had all that we sent answers something else."""
        if _not_received(self._sock):
            self._end("a reply that was sent before its command had arrived")

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        self._require_open()
        if self._unread:  # it came in clear, and would count as if it had not
            self.require_nothing_unread()
        try:
            self._sock.settimeout(self._left())
            self._sock = context.wrap_socket(self._sock, server_hostname=host)
        except (OSError, ValueError) as error:
            self._end(describe(error))

    def close(self, why: str = "closed") -> None:
        self._why_over = self._why_over or why
        with suppress(OSError):
            self._sock.close()

    def _line(self, go_on: Callable[[], bool]) -> bytes:
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > MAX_LINE:
                self._end("a line of a reply that is too long")
            self._read_more(go_on)
        line = bytes(self._unread[:end]).removesuffix(b"\r")
        del self._unread[: end + 1]
        return line

    def _read_more(self, go_on: Callable[[], bool]) -> None:
        if not go_on():
            self._end("nobody waits for the reply any more")
        try:
            self._sock.settimeout(min(self._left(), TICK))
            read = self._sock.recv(MAX_REPLY)
        except TimeoutError:
            return
        except OSError as error:
            self._end(describe(error))
        if not read:
            self._end("the server hung up")
        self._unread += read

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            self._end("no whole reply in time")
        return left

    def _require_open(self) -> None:
        if self._why_over:
            raise Broken(self._why_over)

    def _end(self, why: str) -> NoReturn:
        self.close(why)
        raise Broken(self._why_over) from None


def _not_received(sock: socket.socket) -> int:
    """Bytes that the other machine has not acknowledged; 0 where the kernel does not tell.

    TCP acknowledges what has arrived with whatever is sent after it.
    """
    count = bytearray(4)
    with suppress(OSError):
        fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return int.from_bytes(count, sys.byteorder)


def describe(error: Exception) -> str:
    """An error on one line. The text of one that is not the network's may hold what we sent."""
    name = type(error).__name__
    return f"{name}: {mask(str(error))}" if isinstance(error, OSError) else name


def shown(text: bytes) -> str:
    """What a server said, on one line, without the addresses that servers like to repeat."""
    return harmless(" ".join(text.decode("utf-8", "replace").split()))[:MAX_SHOWN]
