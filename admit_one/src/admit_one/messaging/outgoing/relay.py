"""Outbox rows → broker, with confirms in flight. It knows nothing of what the events mean.

If the process dies
- before the confirm: the rows are unsent (PostgreSQL drops the locks) and are sent again;
- after the confirm, before the rows are marked: they are sent again with the same ids, and the
  receiver's inbox takes them for what they are, repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from amqp.exceptions import ChannelError
from django.db import connection as database
from django.db import transaction
from kombu import Connection

from admit_one import logs
from admit_one.database import outage, wake_up
from admit_one.logs import EventLogger
from admit_one.messaging import conf, metrics, wake
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.declaring import require
from admit_one.messaging.models import NOBODY_BOUND, OUTBOX_PURPOSE, OutboxMessage
from admit_one.processes.backoff import next_delay
from admit_one.processes.pulse import pulse
from admit_one.processes.stopping import Stop
from admit_one.sealing import cipher

from .closed_keys import ClosedKeys
from .publisher import ConfirmsMissing, Outgoing, Publisher, Report

logger = EventLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds that a refused row waits."""

FEW = 8
PACE = 0.003
"""Seconds after a look that found a few rows: each commit wakes the relay, and those that come
close together are one batch."""

GATHER = 0.03
"""Seconds after a look that found many: a bigger batch costs less, so wake-ups may wait."""

CLOCK = 1.0
"""Seconds after a look that found none, if nobody wakes the relay."""


class Relay:
    """Carries the rows of one outbox. One object for the life of a process."""

    def __init__(self) -> None:
        current = conf.current()
        self._batch = current.RELAY_BATCH
        self._timeout = current.CONFIRM_TIMEOUT
        self._exchange = current.service.exchange(current.BROKER_PREFIX)
        self._closed = ClosedKeys()
        self._in_flight: list[Outgoing] = []
        self._careful = False
        """After an error that names no row: one row at a time, until one is confirmed."""

    def run(self, connection: Connection, stop: Stop, on_ready: Callable[[], None]) -> None:
        """Relay until asked to stop. Raises one of `BROKER_ERRORS` or a database error."""
        current = conf.current()
        require(connection, exchange=self._exchange)
        publisher = Publisher(connection, self._exchange, current.service.name)
        listener = wake_up.Listener(wake.RELAY_CHANNEL)
        on_ready()
        try:
            while not stop:
                outage.refresh_connection()
                listener.clear()
                most = self._most
                looked = self.relay_batch(publisher)
                broker.arrived(connection)
                connection.heartbeat_check()
                pulse.worked(broker.frames(connection))
                if looked < most:
                    stop.wait(GATHER if looked > FEW else PACE if looked else 0)
                    broker.wait(connection, CLOCK, stop, listener.fileno())
        finally:
            listener.close()

    @property
    def _most(self) -> int:
        """Rows in the next batch, if there are so many."""
        return 1 if self._careful else self._batch

    def relay_batch(self, publisher: Publisher) -> int:
        """Send the oldest due rows; returns how many were looked at.

        Raises one of `BROKER_ERRORS` or a database error: nothing is marked then, and all is sent
        again.
        """
        try:
            if database.vendor == "postgresql":
                # The locks keep other relays away and die with this process. They are held
                # while the broker answers, CONFIRM_TIMEOUT at most.
                with transaction.atomic():
                    return self._carry(publisher, lock=True)
            # SQLite has one relay at a time (see the relay_outbox command), and a transaction
            # held open while the broker answers would block every request.
            return self._carry(publisher, lock=False)
        except (ChannelError, ConfirmsMissing) as error:
            self._suspect(error)
            raise

    def _carry(self, publisher: Publisher, *, lock: bool) -> int:
        rows = self._due(lock=lock)
        self._in_flight = batch = self._read(rows)
        if batch:
            report = publisher.publish(batch, self._timeout)
            with transaction.atomic(savepoint=False):
                self._mark(batch, report)
            _count(report)
        return len(rows)

    def _due(self, *, lock: bool) -> list[OutboxMessage]:
        rows = OutboxMessage.objects.only("id", "event_id", "type", "subject", "body", "created_at")
        if lock:
            rows = rows.select_for_update(skip_locked=True)
        due = list(rows.due(closed=list(self._closed))[: self._most])
        for key in self._closed.to_probe():
            due.extend(rows.due().filter(type=key)[:1])
        return due

    def _read(self, rows: Iterable[OutboxMessage]) -> list[Outgoing]:
        readable = []
        for row in rows:
            try:
                body = cipher.unseal(row.body, OUTBOX_PURPOSE)
            except cipher.Unsealable as error:
                self._refuse(row.id, row.event_id, str(error))
                continue
            readable.append(
                Outgoing(
                    key=row.id,
                    message_id=row.event_id,
                    type=row.type,
                    subject=row.subject,
                    timestamp=int(row.created_at.timestamp()),
                    body=body,
                )
            )
        return readable

    def _mark(self, batch: Sequence[Outgoing], report: Report) -> None:
        if report.confirmed:
            OutboxMessage.objects.mark_published(report.confirmed)
            self._careful = False
        for message in batch:
            if message.key in report.refused:
                self._refuse(message.key, message.message_id, "the broker refused it (nack)")
            elif message.key in report.returned:
                self._close(message)
            elif self._closed.open(message.type):
                logger.warning(
                    "routing_key_opened",
                    "somebody is bound to {exchange} for {key} again",
                    exchange=self._exchange,
                    key=message.type,
                )

    def _close(self, message: Outgoing) -> None:
        key = message.type
        if self._closed.close(key):
            # For operators; one row speaks for all of its type, and no try is counted.
            reason = f"{NOBODY_BOUND} {self._named(key)}"
            OutboxMessage.objects.filter(id=message.key).update(last_error=reason)
            logger.warning(
                "routing_key_closed",
                NOBODY_BOUND + " {exchange} for {key}: its events wait here until somebody is",
                exchange=self._exchange,
                key=key,
            )

    def _suspect(self, error: Exception) -> None:
        """The broker closed the channel or went silent. Alone in its batch, a row is to blame."""
        if len(self._in_flight) == 1 and isinstance(error, ChannelError):
            [row] = self._in_flight
            self._refuse(row.key, row.message_id, str(error))
        self._careful = True

    def _refuse(self, row_id: int, event_id: str, error: str) -> None:
        row = OutboxMessage.objects.only("attempts").get(id=row_id)
        pause = next_delay(row.attempts + 1, first=FIRST_PAUSE, most=LONGEST_PAUSE)
        OutboxMessage.objects.all().mark_refused(row_id, error, pause)
        with logs.about(event_id=event_id):
            logger.error(
                "event_refused",
                "event {event_id} is not sent, next try in {pause:.0f} s: {error}",
                event_id=event_id,
                pause=pause,
                error=error,
            )

    def _named(self, key: str) -> str:
        return f"{self._exchange} for {key}"


def _count(report: Report) -> None:
    metrics.PUBLISHED.inc(len(report.confirmed))
    metrics.PUBLISHED_BATCH.observe(len(report.confirmed))
    if report.returned or report.refused:
        metrics.RETURNED.inc(len(report.returned))
        metrics.REFUSED.inc(len(report.refused))
