"""A connection: one SQLite handle, one locked byte, one bell, and the channels that share them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from amqp.exceptions import NotFound, RecoverableConnectionError

from . import holders
from .bell import Bell
from .channel import Channel
from .consuming import Consumer
from .file import as_connection_error, open_broker_file, transaction
from .lock import LockFile
from .messages import Claimed, Messages
from .publishing import Publication, Publishing
from .routing import Router

CLAIM = 500
"""Messages taken in one statement where the prefetch count sets no lower limit."""

Event = Callable[[], None]

_all: weakref.WeakSet[Connection] = weakref.WeakSet()
_left_to_the_parent: list[sqlite3.Connection] = []


class Connection:
    """A connection to the embedded broker, with py-amqp's face. Threads may share it."""

    def __init__(self, path: str, client: Any = None) -> None:
        self.client = client  # kombu remembers its declarations there
        self.path = os.path.realpath(path)
        self.channels: dict[int, Channel] = {}
        self.db = open_broker_file(self.path)
        self.messages = Messages(self.db, Router(self.db))
        self._lock_file = LockFile.of(f"{self.path}.lock")
        with transaction(self.db):
            self.holder = holders.register(self.db, self._lock_file)
        self._bell = Bell(self._lock_file.identity, self.holder)
        self._lock = threading.RLock()
        self._outgoing: list[tuple[Publishing, Publication]] = []
        self._answers: deque[Event] = deque()
        self._deliveries: deque[tuple[Consumer, Claimed]] = deque()
        self._to_ring: set[int] = set()
        self._next_sweep = 0.0
        self._last_channel = 0
        self.connected = True
        _all.add(self)

    def channel(self, channel_id: int | None = None) -> Channel:
        """A new channel."""
        with self.using():
            self._last_channel = channel_id or self._last_channel + 1
            channel = self.channels[self._last_channel] = Channel(self, self._last_channel)
            return channel

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """This thread's turn. RecoverableConnectionError: closed, forked away, or the file failed.

        After a failure of the file nothing here can be trusted: others shall take what we hold.
        """
        with self._lock:
            if not self.connected:
                raise RecoverableConnectionError("the connection to the embedded broker is closed")
            try:
                with as_connection_error():
                    yield
            except RecoverableConnectionError:
                self.collect()
                raise

    def drain_events(self, timeout: float | None = None) -> None:
        """Commit what was published, then handle one event; `socket.timeout` if there is none.

        `timeout` is in seconds; None waits for ever, 0 only takes what is there.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self.using():
                self.flush()
                event = self._next_event()
            if event is not None:
                event()
                return
            left = self._bell.interval if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")  # socket.timeout by its newer name
            self._bell.wait(left)

    def _next_event(self) -> Event | None:
        if not self._answers and not self._deliveries:
            self._bell.silence()
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + self._bell.interval
                self.sweep()
            self._claim()
        if self._answers:
            return self._answers.popleft()
        if self._deliveries:
            consumer, claimed = self._deliveries.popleft()
            return consumer.delivery(claimed)
        return None

    def _claim(self) -> None:
        for consumer in self._consumers():
            limit = min(CLAIM, consumer.capacity())
            if limit <= 0 or not self.messages.has_ready(consumer.queue.id):
                continue
            with self.write():
                claimed = self.messages.claim(consumer.queue.id, self.holder, limit)
                if consumer.no_ack:
                    self.messages.remove([message.id for message in claimed], self.holder)
            if not consumer.no_ack:
                consumer.outstanding += len(claimed)
            self._deliveries.extend((consumer, message) for message in claimed)

    def _consumers(self) -> list[Consumer]:
        return [c for channel in self.channels.values() for c in channel.consumers.values()]

    def take_back(self, consumers: Iterable[Consumer]) -> None:
        """Give back, in the caller's transaction, what these consumers were not yet handed."""
        gone = set(consumers)
        unseen = [item for item in self._deliveries if item[0] in gone]
        self._deliveries = deque(item for item in self._deliveries if item[0] not in gone)
        for consumer, _ in unseen:
            consumer.outstanding -= 1
        self.messages.undo_claim([claimed.id for _, claimed in unseen], self.holder)

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[None]:
        """One transaction; whoever got something to deliver is woken once it is committed."""
        self._to_ring.clear()
        with transaction(self.db, durable=durable):
            self.messages.begin()
            yield
            self._to_ring |= holders.find_consuming(self.db, self.messages.touched)
        for holder in self._to_ring:
            self._bell.ring(holder)

    def ring_later(self, others: Iterable[int]) -> None:
        """Wake these holders too once the transaction is committed."""
        self._to_ring.update(others)

    def look_again(self) -> None:
        """There may be room for more: the thread that drains shall look, or Celery's loop."""
        self._bell.ring(self.holder)

    def post(self, channel: Publishing, publication: Publication) -> None:
        """Keep a publication until the next `flush`."""
        self._outgoing.append((channel, publication))

    def flush(self) -> None:
        """Commit all publications in one transaction; only then they are confirmed."""
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, []
        errors: dict[Publishing, NotFound] = {}
        confirmed: dict[Publishing, int] = {}
        refused: list[Event] = []
        with self.write(durable=not all(publication.is_transient for _, publication in outgoing)):
            for channel, publication in outgoing:
                if channel in errors:  # RabbitMQ has closed it by now and drops the rest
                    continue
                try:
                    taken = self.messages.publish(publication.letter)
                except NotFound as error:
                    errors[channel] = error
                    continue
                confirmed[channel] = publication.tag
                if taken is None and publication.mandatory:
                    refused.append(partial(channel.on_return, publication))
                elif taken is False and channel.confirming:
                    refused.append(partial(channel.on_nack, publication.tag))
        self._answers += refused  # before the ack of many, which would cover them
        self._answers += [partial(c.on_ack, tag) for c, tag in confirmed.items() if c.confirming]
        for channel, not_found in errors.items():
            if channel.confirming:
                self._answers.append(partial(channel.fail, not_found))
            else:
                channel.fail(not_found)

    def sweep(self) -> None:
        """Bury dead holders, expired messages and unused queues; notice if we lost a consumer."""
        dead = holders.find_dead(self.db, self._lock_file)
        unused = holders.find_unused_queues(self.db)
        if dead or unused or self.messages.has_expired_or_parked():
            with self.write():
                for holder in dead:
                    self.ring_later(holders.remove_holder(self.db, self.messages, holder))
                for queue in unused:
                    self.ring_later(holders.drop_unused_queue(self.db, queue))
                self.messages.bury_expired()
                self.messages.bury_parked()
        alive = holders.find_consumers(self.db, self.holder)
        for consumer in self._consumers():
            if consumer.number not in alive:
                self._deliveries = deque(d for d in self._deliveries if d[0] is not consumer)
                self._answers.append(partial(consumer.channel.on_cancel, consumer))

    def close(self) -> None:
        """Say goodbye: unacknowledged messages go back, exclusive queues and the bell go."""
        with self._lock, contextlib.suppress(RecoverableConnectionError):
            with self.using():
                self.flush()
                with self.write():
                    self.take_back(self._consumers())
                    self.ring_later(holders.remove_holder(self.db, self.messages, self.holder))
            self.collect()

    def collect(self) -> None:
        """Let go without a goodbye: others find us dead and take what we held."""
        with self._lock:
            if not self.connected:
                return
            self.connected = False
            for channel in list(self.channels.values()):
                channel.collect()
            self._outgoing.clear()
            self._answers.clear()
            self._deliveries.clear()
            self.db.close()
            self._lock_file.leave(self.holder)
            self._bell.close()

    def fileno(self) -> int:
        """Readable when it is time to drain."""
        return self._bell.fileno()

    @property
    def interval(self) -> float:
        """Seconds after which to drain even if nothing was readable."""
        return self._bell.interval

    def leave_to_parent(self) -> None:
        """In a forked child: the connection is the parent's; SQLite must not even close it here."""
        self._lock = threading.RLock()
        if self.connected:
            self.connected = False
            _left_to_the_parent.append(self.db)
            self._bell.close()


def _after_fork() -> None:
    for connection in list(_all):
        connection.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
