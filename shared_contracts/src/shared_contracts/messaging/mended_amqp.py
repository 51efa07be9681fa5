"""Two faults of py-amqp's reader, mended at import: both would hold a loop for ever.

py-amqp gives no other way in. The tests show each fault's remedy at work, so that a new release
of py-amqp that reads otherwise is noticed.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import amqp
import amqp.serialization

BROKEN_PROPERTIES = "x-broken-properties"
"""The header that marks a message whose AMQP properties could not be read."""

REST_OF_A_FRAME = 1.0
"""Seconds that a frame which has begun may take to arrive whole, before others get their turn."""


def _tolerate_broken_properties() -> None:
    """Deliver a message with unreadable properties, marked, instead of ending the loop.

    py-amqp lets such an error out of `drain_events`, where it belongs to no message, and the
    message would come again for ever.
    """
    content: Any = amqp.serialization.GenericContent
    load: Callable[..., int] = content._load_properties  # noqa: SLF001

    def tolerant(self: Any, class_id: int, buf: bytes, offset: int) -> int:
        try:
            return load(self, class_id, buf, offset)
        except Exception as error:  # noqa: BLE001 (struct, Unicode, overflow: any broken byte)
            self.properties = {"application_headers": {BROKEN_PROPERTIES: repr(error)[:200]}}
            return offset

    content._load_properties = tolerant  # noqa: SLF001


def _never_spin_on_half_a_frame() -> None:
    """Read "only what is there" without a socket that does not block.

    On such a socket py-amqp reads a frame that has begun to its end, however long that takes and
    with all of the processor. A broker that falls silent in the middle of a frame would keep the
    process from its heartbeats and from a signal to stop.
    """
    connection: Any = amqp.Connection
    read: Callable[..., bool] = connection.blocking_read

    def patient(self: Any, timeout: float | None = None) -> bool:
        sock = self.transport.sock
        if timeout == 0 and sock is not None:
            if not _readable(sock):
                raise TimeoutError("nothing has arrived")
            timeout = REST_OF_A_FRAME
        return read(self, timeout)

    connection.blocking_read = patient


def _readable(sock: Any) -> bool:
    undelivered = getattr(sock, "pending", None)  # what TLS has decrypted already
    if undelivered is not None and undelivered():
        return True
    ready = select.poll()
    ready.register(sock, select.POLLIN)
    return bool(ready.poll(0))


_tolerate_broken_properties()
_never_spin_on_half_a_frame()
