"""Broker → inbox → handlers, in batches: collect what has arrived, flush, ack once.

If the process dies before the commit, the broker delivers everything again; if it dies between
commit and ack, too, and the inbox knows them. The consumer only acks; it never publishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import transaction
from kombu import Connection

from admit_one import logs
from admit_one.contract import Event
from admit_one.contract.errors import Transient
from admit_one.database import outage
from admit_one.database.outage import LetGo
from admit_one.logs import EventLogger
from admit_one.messaging import conf, inbox, metrics, probe, wake
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.declaring import require
from admit_one.messaging.conf import Handler
from admit_one.messaging.inbox import Received
from admit_one.messaging.set_aside import keeping
from admit_one.processes.announcer import Announcer
from admit_one.processes.backoff import next_delay
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop

from . import message_properties
from .breaker import Breaker
from .queue_watch import QueueWatch

logger = EventLogger(__name__)

T = TypeVar("T")

TURN = 1.0
"""Seconds between two looks at what is not a message: heartbeats, due retries, wake-ups."""

LET_GO_AFTER = 300.0
"""Seconds that messages are held while the database is away; then others may have them."""

RETRIES_A_TURN = 20
SUSPECTS = 10


class BatchConsumer:
    """Consumes this service's inbox over one connection. Made anew for each connection."""

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
        self._breaker = breaker
        self._full_prefetch = current.PREFETCH
        self._inbox = current.service.inbox(current.BROKER_PREFIX)
        self._dead = current.service.dead(current.BROKER_PREFIX)
        self._arrived: list[Any] = []
        self._suspects: list[Any] = []
        self._tag = ""
        self._announcer = Announcer()
        self._breaker_announcer = Announcer()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Consume until asked to stop. Raises one of `broker.BROKER_ERRORS`, or `LetGo`."""
        if not probe.database_works():
            raise LetGo("the database is away")
        require(self._connection, queues=[self._inbox, self._dead])
        self._channel = broker.channel_of(self._connection)
        self._suspect_channel = broker.channel_of(self._connection)
        # A process killed in its work remembers nothing, but what it held comes back first. One
        # at a time, only the message that killed it can die of it again, and no neighbour.
        self._subscribe(prefetch=1)
        self._suspect_channel.basic_qos(0, SUSPECTS, False)
        self._suspect_channel.basic_consume(self._dead, callback=self._suspects.append)
        self._watch = QueueWatch(self._channel, self._inbox)
        on_ready()
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
        while len(self._arrived) < self._full_prefetch and broker.arrived(self._connection):
            pass

    def flush(self) -> None:
        """Handle what was collected in one transaction, then ack it at once, then wake others."""
        if self._suspects:
            self._keep_suspects()
        if not self._arrived:
            return
        batch, self._arrived[:] = list(self._arrived), []
        with wake.deferred():
            self.handle(batch)
            self.ack(batch)
        self._watch.taken()
        metrics.CONSUMED_BATCH.observe(len(batch))
        if self._prefetch == 1 and not self._stop and not _returned(batch[-1]):
            self._subscribe(prefetch=self._full_prefetch)

    def handle(self, batch: Sequence[Any]) -> None:
        """Handle deliveries; when this returns, what became of each is committed."""
        outage.refresh_connection()
        self._settle([self._read(message) for message in batch])

    def ack(self, batch: Sequence[Any]) -> None:
        """Acknowledge deliveries: the broker forgets them."""
        self._channel.basic_ack(batch[-1].delivery_tag, multiple=True)

    def _settle(self, batch: Sequence[Received]) -> None:
        """Decide about every message of `batch`; when this returns, all of it is committed."""
        alone = batch[0].envelope if len(batch) == 1 else None
        try:
            with logs.about(**logs.facts(alone)):
                self._attempt(batch)
            self._breaker.close()
        except LetGo:
            raise
        except Exception as error:  # noqa: BLE001 (a handler may raise anything)
            logger.warning(
                "batch_failed",
                "a batch of {messages} failed ({error}): one by one",
                messages=len(batch),
                error=type(error).__name__,
            )
            for message in batch:
                if self._stop.overdue:
                    raise LetGo("asked to stop") from None
                with logs.about(**logs.facts(message.envelope)):
                    self._settle_alone(message)
                self._stay_alive()

    def _settle_alone(self, message: Received) -> None:
        """Handle `message` or set it aside; hold it while messages fail alike, one after another.

        Else a bad release would shovel the whole backlog aside.
        """
        tries, since = 0, time.monotonic()
        while True:
            try:
                self._attempt([message])
            except LetGo:
                raise
            except Exception as error:  # noqa: BLE001 (kept with all that is known of it)
                if not self._breaker.opens(error):
                    self._keep(message, error)
                    return
                tries += 1
                cause = f"too many messages in a row fail with {self._breaker.cause}"
                self._breaker_announcer.trouble(
                    "messages_held",
                    "{cause}: holding the rest; {advice}",
                    cause=cause,
                    advice=self._breaker.advice,
                )
                self._hold(next_delay(tries, first=1.0, most=30.0), since, cause)
            else:
                self._breaker.close()
                self._breaker_announcer.over("messages_work_again", "messages work again")
                return

    def _keep(self, message: Received, error: Exception, *, suspect: bool = False) -> None:
        self._outlast_outage(lambda: keeping.keep(message, error, dead=False, suspect=suspect))
        metrics.count_consumed(["suspect" if suspect else "failed"])

    def _attempt(self, batch: Sequence[Received]) -> None:
        """Process `batch`; a database error is tried once more, and for as long as it is away."""
        self._outlast_outage(lambda: self._process(batch))

    def _process(self, batch: Sequence[Received]) -> None:
        with transaction.atomic():
            outcomes = inbox.process(batch, self._handlers)
            for message, outcome in zip(batch, outcomes, strict=True):
                if outcome.result not in keeping.SETTLED and outcome.error is not None:
                    dead = outcome.result in keeping.DEAD_AT_ONCE
                    with logs.about(**logs.facts(message.envelope)):
                        keeping.keep(message, outcome.error, dead=dead)
        metrics.count_consumed(outcome.result for outcome in outcomes)

    def _outlast_outage(self, work: Callable[[], T]) -> T:
        """Do `work`; hold it while the database is away. Raises its error if that works."""
        done = outage.outlast(
            work, self._wait_for_database, works=probe.database_works, at_most=LET_GO_AFTER
        )
        self._announcer.over("database_back", "the database is back")
        return done

    def _wait_for_database(self, seconds: float, error: Exception) -> None:
        self._announcer.trouble(
            "database_away",
            "the database is away ({error}): waiting for it",
            error=type(error).__name__,
        )
        self._hold(seconds, time.monotonic(), "the database is away")

    def _hold(self, seconds: float, since: float, why: str) -> None:
        """Keep the connection alive for so long."""
        if self._stop or time.monotonic() - since > LET_GO_AFTER:
            raise LetGo(why)
        pulse.trouble = why
        until = time.monotonic() + seconds
        while not self._stop and (left := until - time.monotonic()) > 0:
            try:
                broker.wait(self._connection, min(left, TURN), self._stop)
                self._stay_alive()
            except broker.BROKER_ERRORS as error:  # not to be taken for a fault of the handler
                raise LetGo(f"{why}, and the broker is away, too") from error

    def _stay_alive(self) -> None:
        """Long work must not cost the connection: read and answer the broker's heartbeats."""
        pulse.beat()
        broker.arrived(self._connection)
        self._connection.heartbeat_check()

    def _turn(self) -> None:
        self._connection.heartbeat_check()
        with wake.deferred():
            for _ in range(RETRIES_A_TURN):
                if self._stop or not keeping.retry_one(self._handlers, self._outlast_outage):
                    break
                self._stay_alive()
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
        self._channel.basic_consume(self._inbox, self._tag, callback=self._arrived.append)

    def _read(self, message: Any) -> Received:
        return Received.read(
            bytes(message.body or b""),  # py-amqp makes a text of an empty body
            queue=self._inbox,
            headers=message.properties.get("application_headers") or {},
            broken=message_properties.fault_of(message.properties),
        )

    def _keep_suspects(self) -> None:
        """The broker gave these up after too many deliveries: perhaps they kill their consumer."""
        suspects, self._suspects[:] = list(self._suspects), []
        for message in suspects:
            error = Transient("delivered too often without an ack: it may have ended its consumer")
            self._keep(self._read(message), error, suspect=True)
        self._suspect_channel.basic_ack(suspects[-1].delivery_tag, multiple=True)

    def _finish(self) -> None:
        """Take nothing more, answer what is held."""
        self._channel.basic_cancel(self._tag)
        try:
            self.flush()
        except LetGo as reason:
            logger.warning(
                "messages_left",
                "{reason}: the broker keeps the messages that are left",
                reason=reason,
            )


def _returned(message: Any) -> bool:
    """Whether this message was delivered before, to somebody who did not answer."""
    headers = message.properties.get("application_headers") or {}
    return bool(message.delivery_info["redelivered"] or headers.get("x-delivery-count"))
