"""Broker → inbox → handlers, in batches: collect the arrived messages, handle them, ack once.

If the process dies before the ack, the broker delivers everything again, and the inbox recognises
what was committed. The consumer only acks; it never publishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kombu import Connection

from admit_one.contract import Event
from admit_one.contract.errors import Transient
from admit_one.database import outage
from admit_one.database.outage import NotNow
from admit_one.logs import EventLogger
from admit_one.messaging import conf, inbox, metrics, peers, wake
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.topology import require
from admit_one.messaging.conf import Handler
from admit_one.messaging.inbox import Received
from admit_one.messaging.set_aside.retrying import retry_one
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

from . import message_properties
from .breaker import Breaker
from .handling import Handling
from .holding import TURN, Holding
from .queue_watch import QueueWatch

logger = EventLogger(__name__)

RETRIES_A_TURN = 20
"""Set-aside messages that are retried before the next look at the queue."""

SUSPECTS = 10
"""Prefetch count of the dead queue."""

TOO_OFTEN = "delivered too often without an ack: it may have killed its consumer"

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of bodies held, not counting the last: what others send must not fill the memory."""


class BatchConsumer:
    """Consumes this service's inbox over one connection. Each connection gets its own."""

    def __init__(
        self,
        connection: Connection,
        handlers: Mapping[type[Event], Handler],
        stop: Stop,
        breaker: Breaker,
    ) -> None:
        current = conf.current()
        self._connection = connection
        self._handlers = handlers
        self._stop = stop
        self._full_prefetch = current.PREFETCH
        self._inbox = current.service.inbox(current.BROKER_PREFIX)
        self._dead = current.service.dead(current.BROKER_PREFIX)
        self._holding = Holding(connection, stop)
        self._handling = Handling(handlers, breaker, self._holding, stop)
        self._arrived: list[Any] = []
        self._suspects: list[Any] = []
        self._bytes = 0
        self._tag = ""

    def run(self, on_ready: Callable[[], None]) -> None:
        """Consume until asked to stop. Raises one of `BROKER_ERRORS`, or `NotNow`."""
        self._begin()
        on_ready()
        wake.try_again()
        next_turn = time.monotonic()
        while not self._stop:
            pulse.beat()
            self.collect()
            self.flush()
            wake.send_waiting()
            if time.monotonic() >= next_turn:
                self._turn()
                next_turn = time.monotonic() + TURN
            if not self._arrived:
                broker.wait(self._connection, min(TURN, wake.next_in()), self._stop)
        self._finish()

    def collect(self) -> None:
        """Take what has arrived, without waiting for more."""
        while self._has_room() and broker.arrived(self._connection):
            pass

    def flush(self) -> None:
        """Handle what was collected, ack it at once, then wake others."""
        self._keep_suspects()
        batch, self._arrived[:], self._bytes = list(self._arrived), [], 0
        if not batch:
            return
        with wake.deferred():
            self.handle(batch)
            self.ack(batch)
        self._watch.delivered()
        metrics.CONSUMED_BATCH.observe(len(batch))
        self._widen_prefetch(batch[-1])

    def handle(self, batch: Sequence[Any]) -> None:
        """Handle deliveries; when this returns, the result of each is committed."""
        outage.refresh_connection()
        self._handling.handle([self._read(delivery) for delivery in batch])

    def ack(self, batch: Sequence[Any]) -> None:
        """Acknowledge everything up to the last of `batch`."""
        self._channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _begin(self) -> None:
        if not inbox.database_works():
            raise NotNow("the database is unavailable")
        require(self._connection, queues=[self._inbox, self._dead])
        self._channel = broker.channel_of(self._connection)
        self._suspect_channel = broker.channel_of(self._connection)
        # What a killed process held is redelivered first. One at a time, a message that kills its
        # consumer uses up no other message's delivery limit.
        self._subscribe(prefetch=1)
        self._suspect_channel.basic_qos(0, SUSPECTS, False)
        self._suspect_channel.basic_consume(self._dead, callback=self._take_suspect)
        self._watch = QueueWatch(self._channel, self._inbox)

    def _turn(self) -> None:
        """Do the regular work: heartbeats, due retries, the look at the queue."""
        self._connection.heartbeat_check()
        with wake.deferred():
            for _ in range(RETRIES_A_TURN):
                if self._stop or not retry_one(self._handlers, self._holding.outlast_outage):
                    break
                self._holding.stay_alive()
        if not self._arrived:
            self._watch.look()
        pulse.worked(broker.frames(self._connection))

    def _subscribe(self, prefetch: int) -> None:
        """Consume with this prefetch, which the broker applies to new consumers only."""
        if self._tag:
            self._channel.basic_cancel(self._tag)
        self._prefetch = prefetch
        self._channel.basic_qos(0, prefetch, False)
        self._tag = f"prefetch-{prefetch}"
        self._channel.basic_consume(self._inbox, self._tag, callback=self._take)

    def _take(self, delivery: Any) -> None:
        self._arrived.append(delivery)
        self._bytes += len(delivery.body)

    def _take_suspect(self, delivery: Any) -> None:
        self._suspects.append(delivery)
        self._bytes += len(delivery.body)

    def _has_room(self) -> bool:
        return len(self._arrived) < self._full_prefetch and self._bytes < MOST_BYTES

    def _widen_prefetch(self, latest: Any) -> None:
        """Take many at a time once the broker delivers a message for the first time."""
        if self._prefetch == 1 and not self._stop and not _redelivered(latest):
            self._subscribe(prefetch=self._full_prefetch)

    def _read(self, delivery: Any) -> Received:
        headers = delivery.properties.get("application_headers") or {}
        return Received.read(
            bytes(delivery.body or b""),  # py-amqp gives an empty body as text
            queue=self._inbox,
            headers=headers,
            signature=peers.signature_in(headers),
            broken=message_properties.fault_of(delivery.properties),
        )

    def _keep_suspects(self) -> None:
        """Set aside what the broker dead-lettered: it may have killed its consumer."""
        if not self._suspects:
            return
        suspects, self._suspects[:] = list(self._suspects), []
        for delivery in suspects:
            other_reason = message_properties.dead_lettered_by_others(delivery.properties)
            error = Transient(other_reason or TOO_OFTEN)
            self._handling.keep(self._read(delivery), error, suspect=not other_reason)
        self._suspect_channel.basic_ack(suspects[-1].delivery_tag, multiple=True)

    def _finish(self) -> None:
        """Take nothing more, handle and ack what is held."""
        self._channel.basic_cancel(self._tag)
        try:
            self.flush()
        except NotNow as reason:
            logger.warning(
                "messages_requeued",
                "{reason}: the remaining messages go back to the broker",
                reason=reason,
            )


def _redelivered(delivery: Any) -> bool:
    """Whether this message was delivered before, and not acknowledged."""
    headers = delivery.properties.get("application_headers") or {}
    return bool(delivery.delivery_info["redelivered"] or headers.get("x-delivery-count"))
