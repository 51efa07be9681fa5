"""A TCP gate before a server: what a network may do to a connection, done on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self
from urllib.parse import urlsplit

LOCAL = "127.0.0.1"


class Gate:
    """Passes bytes between its clients and the server that `server_url` names.

    `close` is a server that is down, `silence` a network on which nothing gets through, `deafen`
    one on which no answer comes back, `slow` one that takes its time, `cut` one that drops every
    connection once; `open` ends all of that.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._connections: set[asyncio.WriteTransport] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
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
        """`url`, which must be on that server, by way of this gate."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}{at}{LOCAL}:{self.port}").geturl()

    def open(self) -> None:
        """Let everything through."""
        self._run(self._open())

    def close(self) -> None:
        """Refuse new connections and reset those there are."""
        self._run(self._close())

    def silence(self) -> None:
        """Accept connections and pass nothing on, in either direction."""
        self._loop.call_soon_threadsafe(self._asking.clear)
        self.deafen()

    def deafen(self) -> None:
        """Pass on what clients say, and hold what they are answered: half-open connections."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def slow(self, seconds: float) -> None:
        """Hold each piece of data for so long, in either direction."""
        self._delay = seconds

    def cut(self) -> None:
        """Reset all connections there are; new ones are let through."""
        self._run(self._cut())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._delay = 0.0
        self._asking.set()
        self._answering.set()
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._pass, LOCAL, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
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

    async def _pass(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        parts = urlsplit(self._server_url)
        ends = [to_client]
        try:
            server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
            ends.append(to_server)
            self._connections.update(end.transport for end in ends)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client, to_server, self._asking))
                pumps.create_task(self._pump(server, to_client, self._answering))
        except* OSError:  # what became of one end becomes of the other
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
            await flowing.wait()
            sink.write(data)
            await sink.drain()
        sink.write_eof()


def _reset(transport: asyncio.WriteTransport) -> None:
    """End a connection without a goodbye, as a network does."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
