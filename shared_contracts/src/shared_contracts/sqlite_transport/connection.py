"""A connection: one SQLite handle, one locked byte, one bell, and the channels that share them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
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
from .channel import Channel, Consumer, Publication
from .file import open_broker_file, transaction
from .lock import LockFile
from .messages import Claimed, Messages
from .routing import Router
from .topology import drop_queue

CLAIM = 500
"""Messages taken in one statement where the prefetch count sets no lower limit."""

_all: weakref.WeakSet[Connection] = weakref.WeakSet()
_left_to_the_parent: list[sqlite3.Connection] = []


class Connection:
    """A connection to the embedded broker, with py-amqp's face. Threads may share it."""

    def __init__(self, path: str, client: Any = None) -> None:
        self.client = client  # kombu remembers its declarations there
        self.path = os.path.realpath(path)
        self.lock = threading.RLock()
        self.channels: dict[int, Channel] = {}
        self.connected = False
        self.db = open_broker_file(self.path)
        self.router = Router(self.db)
        self.messages = Messages(self.db, self.router)
        self._lock_file = LockFile.of(f"{self.path}.lock")
        with transaction(self.db):
            self.holder = holders.register(self.db, self._lock_file)
        self.bell = Bell(self._lock_file.identity, self.holder)
        self._outgoing: list[tuple[Channel, Publication]] = []
        self._answers: deque[Callable[[], None]] = deque()
        self._deliveries: deque[tuple[Consumer, Claimed]] = deque()
        self._next_sweep = 0.0
        self._channel_numbers = 0
        self.connected = True
        _all.add(self)

    def channel(self, channel_id: int | None = None) -> Channel:
        """A new channel."""
        with self.lock:
            self.require_open()
            if channel_id is None:
                self._channel_numbers += 1
                channel_id = self._channel_numbers
            channel = self.channels[channel_id] = Channel(self, channel_id)
            return channel

    def require_open(self) -> None:
        """RecoverableConnectionError: the connection is closed, or belongs to the parent process."""
        if not self.connected:
            raise RecoverableConnectionError("the connection to the embedded broker is closed")

    def drain_events(self, timeout: float | None = None) -> None:
        """Commit what was published, then handle one event; `socket.timeout` if there is none.

        `timeout` is in seconds; None waits for ever, 0 only takes what is there.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self.lock:
                self.require_open()
                self.flush()
                event = self._next_event()
            if event is not None:
                event()
                return
            left = self.bell.interval if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")  # socket.timeout by another name
            self.bell.wait(left)

    def _next_event(self) -> Callable[[], None] | None:
        if not self._answers and not self._deliveries:
            self.bell.silence()
            self._sweep_when_due()
            self._claim()
        if self._answers:
            return self._answers.popleft()
        if self._deliveries:
            consumer, claimed = self._deliveries.popleft()
            return consumer.prepare(claimed)
        return None

    def _claim(self) -> None:
        for consumer in [
            c for channel in self.channels.values() for c in channel.consumers.values()
        ]:
            limit = min(CLAIM, consumer.capacity())
            if limit <= 0 or not self.messages.has_ready(consumer.queue.id):
                continue
            with self.write():
                claimed = self.messages.claim(consumer.queue.id, self.holder, limit)
                if consumer.no_ack:
                    self.messages.remove([message.id for message in claimed], self.holder)
            consumer.outstanding += 0 if consumer.no_ack else len(claimed)
            self._deliveries.extend((consumer, message) for message in claimed)

    def take_back(self, consumers: Iterable[Consumer]) -> list[int]:
        """Unbuffer what was claimed for these consumers and not seen by them; the message ids."""
        gone = set(map(id, consumers))
        mine = [item for item in self._deliveries if id(item[0]) in gone]
        self._deliveries = deque(item for item in self._deliveries if id(item[0]) not in gone)
        for consumer, _ in mine:
            consumer.outstanding -= 1
        return [claimed.id for consumer, claimed in mine if not consumer.no_ack]

    @contextlib.contextmanager
    def write(self, *, durable: bool = False) -> Iterator[None]:
        """One transaction; whoever got something to deliver is woken once it is committed."""
        self.messages.touched.clear()
        with transaction(self.db, durable=durable):
            self.router.refresh()
            yield
            rows = self.db.execute(
                "SELECT DISTINCT holder FROM consumer WHERE queue IN (SELECT value FROM json_each(?))",
                (json.dumps(list(self.messages.touched)),),
            ).fetchall()
        self.ring([holder for (holder,) in rows])

    def ring(self, others: Iterable[int]) -> None:
        """Wake these holders."""
        for holder in others:
            self.bell.ring(holder)

    def post(self, channel: Channel, publication: Publication) -> None:
        """Keep a publication until the next `flush`."""
        self._outgoing.append((channel, publication))

    def flush(self) -> None:
        """Commit all publications in one durable transaction; only then they are confirmed."""
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, []
        errors: dict[Channel, NotFound] = {}
        answers: list[Callable[[], None]] = []
        last: dict[Channel, int] = {}
        with self.write(durable=True):
            for channel, publication in outgoing:
                if channel in errors:  # RabbitMQ has closed it by now and drops the rest
                    continue
                try:
                    taken = self.messages.publish(*publication.row)
                except NotFound as error:
                    errors[channel] = error
                    continue
                last[channel] = publication.tag
                if taken is None and publication.mandatory:
                    answers.append(partial(channel.on_return, publication))
                elif taken is False and publication.tag:
                    answers.append(partial(channel.on_nack, publication.tag))
        answers += [partial(channel.on_ack, tag) for channel, tag in last.items() if tag]
        answers += [partial(channel.fail, error) for channel, error in errors.items()]
        self._answers.extend(answers)

    def _sweep_when_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self.bell.interval
            self.sweep()

    def sweep(self) -> None:
        """Bury dead holders, expired messages and unused queues; notice consumers of ours that are lost."""
        dead = holders.find_dead(self.db, self._lock_file)
        unused = holders.find_unused_queues(self.db)
        if dead or unused or self.messages.has_expired_or_parked():
            lost: list[int] = []
            with self.write():
                for holder in dead:
                    lost += holders.remove_holder(self.db, self.messages, holder)
                for queue in unused:
                    lost += drop_queue(self.db, queue)
                self.messages.bury_expired()
                self.messages.bury_parked()
            self.ring(lost)
        rows = self.db.execute(
            "SELECT id FROM consumer WHERE holder = ?", (self.holder,)
        ).fetchall()
        known = {number for (number,) in rows}
        for channel in self.channels.values():
            for consumer in list(channel.consumers.values()):
                if consumer.number not in known:
                    self.take_back([consumer])
                    self._answers.append(partial(channel.on_cancel, consumer))

    def close(self) -> None:
        """Say goodbye: unacknowledged messages go back, exclusive queues and the bell go."""
        with self.lock:
            if not self.connected:
                return
            with contextlib.suppress(RecoverableConnectionError):
                self.flush()
                with self.write():
                    self.messages.undo_claim(
                        [message.id for _, message in self._deliveries], self.holder
                    )
                    lost = holders.remove_holder(self.db, self.messages, self.holder)
                self.ring(lost)
            self.collect()

    def collect(self) -> None:
        """Let go without a goodbye: others find us dead and take what we held."""
        with self.lock:
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
            self.bell.close()

    def leave_to_parent(self) -> None:
        """In a forked child: this connection is the parent's. SQLite must not even close it here."""
        self.lock = threading.RLock()
        if self.connected:
            self.connected = False
            _left_to_the_parent.append(self.db)
            self.bell.close()


def _after_fork() -> None:
    for connection in list(_all):
        connection.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
