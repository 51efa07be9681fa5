"""A mail server that answers each step with the very bytes it is given."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

STEPS = ("greeting", "EHLO", "HELO", "MAIL", "RCPT", "DATA", ".")
"""The steps of a dialogue that hands over one mail; HELO only if EHLO is refused."""

CALM = 0.002
"""Seconds between two parts of an answer."""

END_OF_CONTENT = b"\r\n.\r\n"


@dataclass(frozen=True)
class Answer:
    """What the server sends at one step: in these parts, the first after `late` seconds."""

    parts: tuple[bytes, ...]
    hang_up: bool = False
    late: float = 0.0
    reads: int | None = None
    """It hangs up once it has read so many bytes of what follows: of a content, after DATA."""
    silent: bool = False
    """Nothing follows, although the client waits for it: its time is over at once."""

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


def answer(text: str, *, hang_up: bool = False) -> Answer:
    return Answer((text.encode(),), hang_up)


GOOD: Mapping[str, Answer] = {
    "greeting": answer("220 ready\r\n"),
    "EHLO": answer("250-scripted\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE\r\n"),
    "HELO": answer("250 scripted\r\n"),
    "MAIL": answer("250 ok\r\n"),
    "RCPT": answer("250 ok\r\n"),
    "DATA": answer("354 go on\r\n"),
    ".": answer("250 taken\r\n"),
    "RSET": answer("250 ok\r\n"),
    "QUIT": answer("221 bye\r\n"),
}

Script = Mapping[str, Answer]


@dataclass
class Record:
    """What the server got in one connection."""

    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    """Whole ones: each was followed by its final dot."""


class Clock:
    """A clock that silence moves on, so that no test has to wait for a deadline."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass
class ScriptedServer:
    port: int
    script: Script = field(default_factory=dict)
    next_mails: Sequence[Script] = ()
    """For the second mail of a connection and those after it; `script` if there is none."""
    records: list[Record] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def play(self, **steps: Answer | str) -> None:
        """From the next connection on, answer like this; what is left out is answered well.

        `dot` is the final dot.
        """
        given = {name: answer(a) if isinstance(a, str) else a for name, a in steps.items()}
        if "dot" in given:
            given["."] = given.pop("dot")
        self.script = {**GOOD, **given}

    @property
    def contents(self) -> list[bytes]:
        return [content for record in self.records for content in record.contents]

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            record = Record()
            self.records.append(record)
            with client, suppress(OSError):
                self._talk(client, record)

    def _talk(self, client: socket.socket, record: Record) -> None:
        script, following = self.script, list(self.next_mails)
        unread = b""
        step = "greeting"
        mails = 0
        while True:
            given = script.get(step, answer("502 unknown\r\n"))
            self._say(client, given)
            if given.hang_up:
                return
            end = END_OF_CONTENT if step == "DATA" and given.data[:1] == b"3" else b"\r\n"
            while end not in unread:
                wanted = 65_536 if given.reads is None else given.reads - len(unread)
                read = client.recv(wanted) if wanted > 0 else b""
                if not read:
                    return
                unread += read
            got, unread = unread.split(end, 1)
            if end == b"\r\n":
                record.commands.append(got.decode())
                step = got.split()[0].decode().upper() if got.strip() else ""
            else:
                record.contents.append(got)
                step = "."
            if step == "MAIL":
                mails += 1
                script = following.pop(0) if mails > 1 and following else script

    def _say(self, client: socket.socket, given: Answer) -> None:
        time.sleep(given.late)
        for number, part in enumerate(given.parts):
            time.sleep(CALM if number else 0.0)
            client.sendall(part)
        if given.silent:
            self.clock.advance(3_600)


@contextmanager
def running() -> Iterator[ScriptedServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ScriptedServer(listening.getsockname()[1], GOOD)
        thread = threading.Thread(target=server.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def cut(whole: Answer, at: int) -> Answer:
    """The same, but the connection ends after so many bytes."""
    return replace(whole, parts=(whole.data[:at],), hang_up=True)
