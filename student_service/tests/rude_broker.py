"""A broker that takes every connection and then refuses the queue, as RabbitMQ does.

It ends the connection at `basic.qos`, as for a queue type that has no global prefetch; or the
channel at `queue.declare`, as for a queue whose node or majority is away.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp import spec
from amqp.serialization import dumps, loads

METHOD, END = 1, b"\xce"
NODE_DOWN = "NOT_FOUND - home node 'rabbit@b' of durable queue 'tasks' is down or inaccessible"
NO_GLOBAL_QOS = "NOT_IMPLEMENTED - queue 'tasks' in vhost '/' does not support global qos"


class RudeBroker(socketserver.ThreadingTCPServer):
    """Speaks as much of AMQP as a client says before it consumes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, queue_is_away: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Dialogue)
        self.connections = 0
        self.queue_is_away = queue_is_away

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Dialogue(socketserver.StreamRequestHandler):
    server: RudeBroker

    def handle(self) -> None:
        self.rfile.read(8)
        self._say(0, spec.Connection.Start, "ooFSS", 0, 9, {}, "PLAIN", "en_US")
        while (frame := self.rfile.read(7)) and len(frame) == 7:
            kind, channel, size = struct.unpack(">BHI", frame)
            payload = self.rfile.read(size + 1)
            if kind == METHOD:
                self._answer(channel, struct.unpack(">HH", payload[:4]), payload[4:-1])

    def _answer(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        if method == spec.Connection.StartOk:
            self._say(0, spec.Connection.Tune, "BlB", 100, 131_072, 0)
        elif method == spec.Connection.Open:
            self.server.connections += 1
            self._say(0, spec.Connection.OpenOk, "s", "")
        elif method == spec.Channel.Open:
            self._say(channel, spec.Channel.OpenOk, "S", "")
        elif method == spec.Exchange.Declare:
            self._say(channel, spec.Exchange.DeclareOk, "")
        elif method == spec.Queue.Declare and self.server.queue_is_away:
            self._say(channel, spec.Channel.Close, "BsBB", 404, NODE_DOWN, *spec.Queue.Declare)
        elif method == spec.Queue.Declare:
            (_, queue), _ = loads("Bs", arguments, 0)
            self._say(channel, spec.Queue.DeclareOk, "sll", queue, 0, 0)
        elif method == spec.Queue.Bind:
            self._say(channel, spec.Queue.BindOk, "")
        elif method == spec.Basic.Qos and self.server.queue_is_away:
            self._say(channel, spec.Basic.QosOk, "")
        elif method == spec.Basic.Qos:
            self._say(0, spec.Connection.Close, "BsBB", 540, NO_GLOBAL_QOS, *spec.Basic.Qos)
        elif method == spec.Channel.Close:
            self._say(channel, spec.Channel.CloseOk, "")
        elif method == spec.Connection.Close:
            self._say(0, spec.Connection.CloseOk, "")

    def _say(self, channel: int, method: tuple[int, int], form: str, *values: Any) -> None:
        payload = struct.pack(">HH", *method) + (dumps(form, values) if form else b"")
        frame = struct.pack(">BHI", METHOD, channel, len(payload)) + payload + END
        self.wfile.write(frame)


@contextmanager
def rude_broker(*, queue_is_away: bool = False) -> Iterator[RudeBroker]:
    with RudeBroker(queue_is_away=queue_is_away) as broker:
        threading.Thread(target=broker.serve_forever, daemon=True).start()
        yield broker
        broker.shutdown()
