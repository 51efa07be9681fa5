"""Outbox rows → broker, with many confirms in flight. It does not know what events mean.

If the process dies
- before the confirm: the rows are unsent (PostgreSQL drops the locks) and are sent again;
- after the confirm, before the rows are marked: they are sent again with the same ids, and the
  receiver's inbox drops the duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeAlias

from amqp.exceptions import ChannelError
from django.db import connection as database
from django.db import transaction
from kombu import Connection

from admit_one import logs
from admit_one.database import outage, wake_up
from admit_one.logs import EventLogger
from admit_one.messaging import conf, metrics, wake
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.topology import require
from admit_one.messaging.models import NO_QUEUE, OUTBOX_PURPOSE, OutboxMessage
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop, next_delay
from admit_one.sealing import cipher

from .closed_keys import ClosedKeys
from .publisher import BrokerAnswers, Outgoing, Publisher

logger = EventLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds that a refused row waits."""

REFUSED = "the broker refused it (nack)"
"""The reason of a row that a queue did not take: it is full, or without a majority of its nodes."""

FEW = 8
AFTER_FEW = 0.003
"""Seconds to wait after at most `FEW` rows, so that commits close together share a batch."""

AFTER_MANY = 0.03
"""Seconds to wait after a larger batch: larger batches cost less per row."""

_COLUMNS = ("id", "event_id", "type", "subject", "created_at", "body", "signature")
_Row: TypeAlias = tuple[int, str, str, str, datetime, bytes, str]
"""Of the outbox: as a tuple, because a model's object takes as long as all else about a message."""

POLL_EVERY = 1.0
"""Seconds between two looks at the outbox if nothing wakes the relay."""


class Relay:
    """Publishes the rows of one outbox. One object for the life of a process."""

    def __init__(self) -> None:
        current = conf.current()
        self._full_batch = current.RELAY_BATCH
        self._timeout = current.CONFIRM_TIMEOUT
        self._exchange = current.service.exchange(current.BROKER_PREFIX)
        self._closed = ClosedKeys()
        self._refused: set[str] = set()
        """Types of which the broker has refused events, and taken none since."""
        self._in_flight: list[Outgoing] = []
        self._batch_size = self._full_batch
        """Rows in the next batch. It drops to 1 after an error that names no row, and doubles with
        each batch that is answered. So a faulty row is soon alone, and a slow broker gets what it
        can confirm in time, not the same rows again and again."""

    def run(self, connection: Connection, stop: Stop, on_ready: Callable[[], None]) -> None:
        """Relay until asked to stop. Raises one of `BROKER_ERRORS` or a database error."""
        current = conf.current()
        require(connection, exchange=self._exchange)
        publisher = Publisher(connection, self._exchange, current.service.name)
        listener = wake_up.listener(wake.RELAY_CHANNEL)
        on_ready()
        try:
            while not stop:
                outage.refresh_connection()
                listener.clear()
                limit = self._batch_size
                rows = self.relay_batch(publisher)
                broker.arrived(connection)
                connection.heartbeat_check()
                pulse.worked(broker.frames(connection))
                if rows < limit:
                    stop.wait(AFTER_MANY if rows > FEW else AFTER_FEW if rows else 0)
                    broker.wait(connection, POLL_EVERY, stop, listener.fileno())
        finally:
            listener.close()

    def relay_batch(self, publisher: Publisher) -> int:
        """Publish the oldest due rows; returns how many there were.

        Raises one of `BROKER_ERRORS` or a database error; then no row is marked, and all are sent
        again.
        """
        try:
            if database.vendor == "postgresql":
                # The locks keep other relays away and die with this process. They are held
                # while the broker answers, CONFIRM_TIMEOUT at most.
                with transaction.atomic():
                    return self._publish_due(publisher, lock=True)
            # SQLite has one relay at a time (see the relay_outbox command), and a transaction
            # held open while the broker answers would block every request.
            return self._publish_due(publisher, lock=False)
        except broker.BROKER_ERRORS as error:
            self._suspect(error)
            raise

    def _publish_due(self, publisher: Publisher, *, lock: bool) -> int:
        rows = self._due(lock=lock)
        self._in_flight = batch = self._read(rows)
        if batch:
            report = publisher.publish(batch, self._timeout)
            with transaction.atomic(savepoint=False):
                self._mark(batch, report)
            _count(report)
        return len(rows)

    def _due(self, *, lock: bool) -> list[_Row]:
        rows: Any = OutboxMessage.objects.values_list(*_COLUMNS)
        if lock:
            rows = rows.select_for_update(skip_locked=True)
        due: list[_Row] = list(rows.due(closed=list(self._closed))[: self._batch_size])
        # While it isolates a faulty row, a probe must not make the batch larger.
        probes = None if self._batch_size == self._full_batch else self._batch_size - len(due)
        for key in islice(self._closed.to_probe(), probes):
            due.extend(rows.due().filter(type=key)[:1])
        return due

    def _read(self, rows: Iterable[_Row]) -> list[Outgoing]:
        readable = []
        for key, event_id, event_type, subject, created_at, sealed, signature in rows:
            try:
                body = cipher.unseal(sealed, OUTBOX_PURPOSE, event_id)
            except cipher.Unsealable as error:
                self._refuse(key, event_id, str(error))
                continue
            timestamp = int(created_at.timestamp())
            readable.append(
                Outgoing(key, event_id, event_type, subject, timestamp, body, signature)
            )
        return readable

    def _mark(self, batch: Sequence[Outgoing], answers: BrokerAnswers) -> None:
        self._batch_size = min(2 * self._batch_size, self._full_batch)
        if answers.confirmed:
            OutboxMessage.objects.mark_published(answers.confirmed)
        for message in batch:
            if message.key in answers.refused:
                self._refuse(message.key, message.message_id, REFUSED)
            elif message.key in answers.returned:
                self._close(message)
            elif self._closed.open(message.type):
                logger.warning(
                    "routing_key_opened",
                    "a queue is bound to {exchange} for {key} again",
                    exchange=self._exchange,
                    key=message.type,
                )
        self._end_pauses(batch, answers)

    def _end_pauses(self, batch: Sequence[Outgoing], answers: BrokerAnswers) -> None:
        """Once all of a type is taken again, what was refused of it waits no longer."""
        refused = {message.type for message in batch if message.key in answers.refused}
        taken = {message.type for message in batch if message.key in answers.confirmed} - refused
        for key in taken & self._refused:
            OutboxMessage.objects.all().end_pauses(key, REFUSED)
        self._refused = (self._refused | refused) - taken

    def _close(self, message: Outgoing) -> None:
        key = message.type
        if self._closed.close(key):
            # For operators: one row is marked for all of its type, and no attempt is counted.
            reason = f"{NO_QUEUE} {self._exchange} for {key}"
            OutboxMessage.objects.filter(id=message.key).update(last_error=reason)
            logger.warning(
                "routing_key_closed",
                NO_QUEUE + " {exchange} for {key}: its events wait in the outbox until one is",
                exchange=self._exchange,
                key=key,
            )

    def _suspect(self, error: Exception) -> None:
        """After an error of the broker, blame the row, if it was alone and closed the channel."""
        if len(self._in_flight) == 1 and isinstance(error, ChannelError):
            [row] = self._in_flight
            self._refuse(row.key, row.message_id, str(error))
        self._batch_size = 1

    def _refuse(self, row_id: int, event_id: str, error: str) -> None:
        row = OutboxMessage.objects.only("attempts").get(id=row_id)
        pause = next_delay(row.attempts + 1, first=FIRST_PAUSE, most=LONGEST_PAUSE)
        OutboxMessage.objects.all().mark_refused(row_id, error, pause)
        with logs.about(event_id=event_id):
            logger.error(
                "event_refused",
                "event {event_id} was not published, next attempt in {pause:.0f} s: {error}",
                event_id=event_id,
                pause=pause,
                error=error,
            )


def _count(answers: BrokerAnswers) -> None:
    metrics.PUBLISHED.inc(len(answers.confirmed))
    metrics.PUBLISHED_BATCH.observe(len(answers.confirmed))
    if answers.returned or answers.refused:
        metrics.RETURNED.inc(len(answers.returned))
        metrics.REFUSED.inc(len(answers.refused))
