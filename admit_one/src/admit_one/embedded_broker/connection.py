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

from amqp.exceptions import ChannelError, PreconditionFailed, RecoverableConnectionError

from . import holders
from .base_channel import BaseChannel
from .bell import Bell
from .channel import Channel
from .consuming import Consumer
from .file import as_connection_error, open_broker_file, transaction
from .lock import LockFile
from .messages import Claimed, Messages
from .publishing import BasicPublish, Publishing
from .routing import Router

MAX_CLAIM = 500
"""Messages claimed by one statement, unless the prefetch count is lower."""

Event = Callable[[], None]
Answer = tuple[BaseChannel, Event]

_all: weakref.WeakSet[EmbeddedConnection] = weakref.WeakSet()
_left_to_the_parent: list[sqlite3.Connection] = []


class EmbeddedConnection:
    """A connection to the embedded broker, with py-amqp's interface. Threads may share it."""

    def __init__(self, path: str, client: Any = None, *, confirm_publish: bool = False) -> None:
        self.client = client  # kombu remembers its declarations there
        self.path = os.path.realpath(path)
        self.confirm_publish = confirm_publish
        self.channels: dict[int, Channel] = {}
        self.db = open_broker_file(self.path)
        with contextlib.ExitStack() as if_it_fails:
            if_it_fails.callback(self.db.close)
            self._lock_file = LockFile.of(f"{self.path}.lock")
            with transaction(self.db):
                self.holder = holders.register(self.db, self._lock_file)
            if_it_fails.pop_all()
        self.messages = Messages(self.db, Router(self.db))
        self._bell = Bell(self._lock_file.identity, self.holder)
        self._lock = threading.RLock()
        self.outgoing: list[tuple[Publishing, BasicPublish]] = []
        self._answers: deque[Answer] = deque()
        self._deliveries: deque[tuple[Consumer, Claimed]] = deque()
        self._to_ring: set[int] = set()
        self._next_sweep = 0.0
        self.connected = True
        _all.add(self)

    def channel(self, channel_id: int | None = None) -> Channel:
        with self.using():
            number = channel_id or max(self.channels, default=0) + 1
            channel = self.channels[number] = Channel(self, number)
            return channel

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Lock the connection for this thread.

        Raises `RecoverableConnectionError` if it is closed or inherited by a fork, or if the file
        fails; then it is closed, so that others get the messages that it held.
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
        """Commit what was published, then handle one event. Raises `TimeoutError` if there is none.

        `timeout` is in seconds; None waits forever, 0 does not wait.
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
                raise TimeoutError("timed out")
            self._bell.wait(left)

    def _next_event(self) -> Event | None:
        if not self._answers and not self._deliveries:
            self._bell.silence()
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + self._bell.interval
                self.sweep()
            self._claim()
        if self._answers:
            return self._answers.popleft()[1]
        if self._deliveries:
            consumer, claimed = self._deliveries.popleft()
            return consumer.delivery(claimed)
        return None

    def _claim(self) -> None:
        for consumer in self._consumers():
            limit = min(MAX_CLAIM, consumer.capacity())
            if limit <= 0 or not self.messages.has_ready(consumer.queue.id):
                continue
            with self.write():
                claimed = self.messages.claim(consumer.queue.id, self.holder, limit)
                if consumer.no_ack:
                    self.messages.remove([message.id for message in claimed], self.holder)
                else:
                    consumer.outstanding += len(claimed)
            self._deliveries.extend((consumer, message) for message in claimed)

    def _consumers(self) -> list[Consumer]:
        return [c for channel in self.channels.values() for c in channel.consumers.values()]

    def release_undelivered(self, consumers: Iterable[Consumer]) -> None:
        """Undo, in the caller's transaction, the claims that these consumers have not yet seen."""
        stopped = set(consumers)
        unseen = [item for item in self._deliveries if item[0] in stopped]
        self._deliveries = deque(item for item in self._deliveries if item[0] not in stopped)
        for consumer, _ in unseen:
            consumer.outstanding -= 1
        self.messages.undo_claim([claimed.id for _, claimed in unseen], self.holder)

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[None]:
        """One transaction; after its commit, wake the consumers of queues that got messages."""
        self._to_ring.clear()
        with transaction(self.db, durable=durable):
            self.messages.begin()
            yield
            self._to_ring |= holders.find_consuming(self.db, self.messages.touched)
        for holder in self._to_ring:
            self._bell.ring(holder)

    def ring_later(self, others: Iterable[int]) -> None:
        """Wake these holders, too, once the transaction is committed."""
        self._to_ring.update(others)

    def look_again(self) -> None:
        """Wake the thread that drains, or Celery's loop: there may be room for more messages."""
        self._bell.ring(self.holder)

    def flush(self) -> None:
        """Commit all `outgoing` messages in one transaction, then queue their confirms."""
        if not self.outgoing:
            return
        outgoing, self.outgoing = self.outgoing, []
        try:
            self._commit(outgoing)
        except ChannelError:
            raise
        except BaseException:
            # Nothing will answer for these any more: who waits for it sees a closed connection.
            self.collect()
            raise

    def _commit(self, outgoing: list[tuple[Publishing, BasicPublish]]) -> None:
        """Each publication gets its answer, whatever is wrong with another."""
        errors: dict[Publishing, ChannelError] = {}
        confirmed: dict[Publishing, int] = {}
        refused: list[Answer] = []
        with self.write(durable=not all(publication.is_transient for _, publication in outgoing)):
            for channel, publication in outgoing:
                if channel in errors:  # RabbitMQ would have closed it and would drop the rest
                    continue
                try:
                    taken = self._publish(publication, is_confirmed=channel.confirming)
                except ChannelError as error:
                    errors[channel] = error
                else:
                    confirmed[channel] = publication.tag
                    if taken is None and publication.mandatory:
                        refused.append((channel, partial(channel.on_return, publication)))
                    elif taken is False and channel.confirming:
                        refused.append((channel, partial(channel.on_nack, publication.tag)))
        self._answers += refused  # before the ack of multiple tags, which would cover them
        self._answers += [
            (c, partial(c.on_ack, tag)) for c, tag in confirmed.items() if c.confirming
        ]
        self._answers += [(c, partial(c.fail, e)) for c, e in errors.items() if c.confirming]
        for channel, fault in errors.items():
            if not channel.confirming:
                channel.fail(fault)

    def _publish(self, publication: BasicPublish, *, is_confirmed: bool) -> bool | None:
        """As `Messages.publish`, which leaves no part of a publication if it fails.

        A fault that nobody expects costs this publication only: it is refused, or the channel
        is closed if nobody waits for confirms.
        """
        self.db.execute("SAVEPOINT publication")
        try:
            taken = self.messages.publish(publication.packed)
        except sqlite3.Error:
            raise
        except Exception as error:
            self.db.execute("ROLLBACK TO publication")
            if isinstance(error, ChannelError):
                raise
            if not is_confirmed:
                fault = f"PRECONDITION_FAILED - {type(error).__name__} while it was written"
                raise PreconditionFailed(fault) from error
            taken = False
        finally:
            if self.db.in_transaction:
                self.db.execute("RELEASE publication")
        return taken

    def take_answers(self, channel: Publishing) -> list[Event]:
        """What the broker has to say to this channel, to be handled by the caller."""
        taken = [event for to, event in self._answers if to is channel]
        self._answers = deque(answer for answer in self._answers if answer[0] is not channel)
        return taken

    def sweep(self) -> None:
        """Clean up dead holders, expired messages and unused queues; cancel our lost consumers."""
        dead = holders.find_dead(self.db, self._lock_file)
        unused = holders.find_unused_queues(self.db)
        if dead or unused or self.messages.has_expired_or_parked():
            with self.write():
                for holder in dead:
                    self.ring_later(holders.remove_holder(self.db, self.messages, holder))
                self.ring_later(holders.drop_unused_queues(self.db))
                self.messages.dead_letter_expired()
                self.messages.retry_parked()
        alive = holders.find_consumers(self.db, self.holder)
        for consumer in self._consumers():
            if consumer.number not in alive:
                self._deliveries = deque(d for d in self._deliveries if d[0] is not consumer)
                on_cancel = partial(consumer.channel.on_cancel, consumer)
                self._answers.append((consumer.channel, on_cancel))

    def close(self) -> None:
        """Close: requeue unacknowledged messages, and delete exclusive queues."""
        with self._lock, contextlib.suppress(RecoverableConnectionError):
            with self.using():
                self.flush()
                with self.write():
                    self.release_undelivered(self._consumers())
                    self.ring_later(holders.remove_holder(self.db, self.messages, self.holder))
            self.collect()

    def collect(self) -> None:
        """Close without writing to the file: others will find us dead and requeue what we held."""
        with self._lock:
            if not self.connected:
                return
            self.connected = False
            for channel in list(self.channels.values()):
                channel.collect()
            self.db.close()
            self._lock_file.leave(self.holder)
            self._bell.close()

    def fileno(self) -> int:
        """A descriptor that is readable when it is time to drain."""
        return self._bell.fileno()

    @property
    def interval(self) -> float:
        """Seconds after which to drain even if `fileno()` is not readable."""
        return self._bell.interval

    def leave_to_parent(self) -> None:
        """In a forked child: the connection is the parent's, and SQLite must not close it here."""
        self._lock = threading.RLock()
        if self.connected:
            self.connected = False
            _left_to_the_parent.append(self.db)
            self._bell.close()


def _after_fork() -> None:
    for connection in list(_all):
        connection.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
