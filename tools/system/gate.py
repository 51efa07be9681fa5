"""A TCP proxy in front of a server that simulates network failures."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self
from urllib.parse import urlsplit

from .eventually import eventually
from .ports import LOCAL

LAST_TURNS = 3
"""Turns of the loop in which an accepted connection is made."""


class Gate:
    """Passes bytes between clients and the server at `server_url`.

    `close` simulates a server that is down, `silence` a network that drops all traffic, `deafen`
    half-open connections, `slow` a slow network, `cut` a reset of every connection, and
    `turn_away` a server that closes each new connection. `open` ends all of these.
    """

    def __init__(self, server_url: str) -> None:
        self.server_url = server_url
        self._connections: set[asyncio.WriteTransport] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self._accepted = 0
        self._held_back = 0
        self._turning_away = False
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._asking, self._answering = asyncio.Event(), asyncio.Event()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def way_to(self, url: str) -> str:
        """`url`, which must be on that server, through this gate."""
        return through(self.port, url)

    def open(self) -> None:
        self._run(self._open())

    def turn_away(self) -> None:
        """Accept connections and close them at once."""
        self._run(self._open(turning_away=True))

    def close(self) -> None:
        """Refuse new connections and reset existing ones."""
        self._run(self._close())

    def silence(self) -> None:
        """Accept connections, but pass nothing on in either direction."""
        self._loop.call_soon_threadsafe(self._asking.clear)
        self.deafen()

    def deafen(self) -> None:
        """Pass on what clients send, but not what they receive: half-open connections."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def slow(self, seconds: float) -> None:
        """Delay each piece of data by `seconds`, in both directions."""
        self._delay = seconds

    def cut(self) -> None:
        """Reset all existing connections; accept new ones."""
        self._run(self._cut())

    def until_accepted(self, number: int) -> None:
        """Wait until `number` connections have been accepted since the start."""
        eventually(lambda: self._accepted >= number)

    def until_held_back(self, number: int) -> None:
        """Wait until `number` bytes were held back, of what clients sent or of the answers."""
        eventually(lambda: self._held_back >= number)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self, *, turning_away: bool = False) -> None:
        self._turning_away = turning_away
        self._held_back = 0
        self._delay = 0.0
        self._asking.set()
        self._answering.set()
        if self._server is not None:
            return
        self._server = await self._loop.create_server(self._protocol, LOCAL, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            for listening in self._server.sockets:
                self._loop.remove_reader(listening.fileno())
            # asyncio leaves a connection half made that it has just accepted from a closed server.
            for _ in range(LAST_TURNS):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for transport in list(self._connections):
            _reset(transport)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        return _CountingProtocol(
            asyncio.StreamReader(loop=self._loop), self._pass, self._came, self._loop
        )

    def _came(self, size: int) -> None:
        if not self._asking.is_set():
            self._held_back += size

    async def _pass(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._accepted += 1
        if self._turning_away:
            to_client.close()
            return
        parts = urlsplit(self.server_url)
        ends = [to_client]
        self._connections.add(to_client.transport)
        try:
            server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
            ends.append(to_server)
            if to_client.is_closing():
                raise ConnectionResetError
            self._connections.add(to_server.transport)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client, to_server, self._asking))
                pumps.create_task(self._pump(server, to_client, self._answering))
        except* OSError:  # if one end fails, reset the other
            for end in ends:
                _reset(end.transport)
        finally:
            for end in ends:
                self._connections.discard(end.transport)
                end.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        while data := await source.read(65_536):
            if self._delay:
                await asyncio.sleep(self._delay)
            if flowing is self._answering and not flowing.is_set():
                self._held_back += len(data)
            await flowing.wait()
            sink.write(data)
            await sink.drain()
        sink.write_eof()


class _CountingProtocol(asyncio.StreamReaderProtocol):
    """Calls `came` for all bytes that arrive, even if they are not read yet."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        came: Callable[[int], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(reader, connected, loop)
        self._came = came

    def data_received(self, data: bytes) -> None:
        self._came(len(data))
        super().data_received(data)


def through(port: int, url: str) -> str:
    """`url` with this machine and `port` in place of its host and port."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{LOCAL}:{port}").geturl()


def _reset(transport: asyncio.WriteTransport) -> None:
    """Reset a connection (RST), as a network failure would."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
