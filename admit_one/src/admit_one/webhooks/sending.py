"""A worker sends the deliveries that are due: claim some, request, finish, claim the next.

Each request has a thread, and a bounded number of them are under way. The thread that calls
`send_due` claims and finishes for all of them, and watches their deadlines: so none needs a
database connection while it waits, and a receiver that hangs costs its own thread only.
If the process dies, the leases of its claims end, and others send them: a receiver may get the
same webhook-id twice.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from admit_one.logs import EventLogger
from admit_one.sealing import Unsealable

from . import claims, signing, urls
from .attempt import TOO_LATE, UNSIGNED, Attempt
from .finishing import Ended, finish
from .models import Delivery
from .outcome import Outcome

logger = EventLogger(__name__)

THREADS = 32
"""Requests that a worker has under way, at most. One that is too late counts until its thread
ends: a resolver may answer even later."""

NAME = "webhook"
"""Of their threads."""

LOOK_AGAIN = 0.2
"""Seconds after which a run that waits for answers looks for other deliveries that are due."""

GRACE = 3.0
"""Seconds that requests under way get once the worker is asked to stop."""

_one_run = threading.Lock()
_wanted = threading.Event()


def send_due(go_on: Callable[[], bool], is_stopping: Callable[[], bool]) -> None:
    """Send what is due, until nothing is or `go_on()` is false; then wait for what is under way.

    If this process does it already, that run looks again. Raises a database error: then what is
    under way is sent again, when its leases end.
    """
    _wanted.set()
    while _wanted.is_set() and go_on():  # also by who came while the lock was held
        if not _one_run.acquire(blocking=False):
            return
        try:
            _wanted.clear()
            _Run(go_on, is_stopping).run()
        finally:
            _one_run.release()


class _UnderWay(NamedTuple):
    delivery: Delivery
    attempt: Attempt


class _Run:
    def __init__(self, go_on: Callable[[], bool], is_stopping: Callable[[], bool]) -> None:
        self._go_on, self._is_stopping = go_on, is_stopping
        self._answers: queue.SimpleQueue[tuple[UUID, Outcome]] = queue.SimpleQueue()
        self._under_way: dict[UUID, _UnderWay] = {}
        self._stop_began = 0.0

    def run(self) -> None:
        while True:
            ended = self._start() if self._go_on() else []
            if not self._under_way and not ended:
                return
            if self._is_stopping() and self._is_out_of_time():
                return
            ended += self._wait() if not ended else []
            if ended:
                finish(ended)

    def _start(self) -> list[Ended]:
        """Claim and start what fits; returns those that cannot be signed."""
        slots = THREADS - _running()
        if slots <= 0:
            return []
        busy = [each.delivery.endpoint for each in self._under_way.values()]
        ended, now = [], timezone.now()
        for delivery in claims.take(slots, busy):
            try:
                attempt = _attempt(delivery, now)
            except Unsealable as error:
                _log_unsigned(delivery, str(error))
                ended.append(Ended(delivery, UNSIGNED))
                continue
            except urls.NotAllowed as error:  # an earlier release may have allowed it
                ended.append(Ended(delivery, Outcome(None, f"the URL cannot be used: {error}")))
                continue
            self._under_way[delivery.pk] = _UnderWay(delivery, attempt)
            threading.Thread(
                target=self._request, args=(delivery.pk, attempt), name=NAME, daemon=True
            ).start()
        return ended

    def _request(self, delivery_id: UUID, attempt: Attempt) -> None:
        self._answers.put((delivery_id, attempt.run()))

    def _wait(self) -> list[Ended]:
        """What has ended, or is too late; waits for the first of it, a moment at most."""
        ended = self._answered(block=True)
        while more := self._answered(block=False):
            ended += more
        now = time.monotonic()
        for delivery_id, (delivery, attempt) in list(self._under_way.items()):
            if now >= attempt.ends_at:
                attempt.abort()
                del self._under_way[delivery_id]
                ended.append(Ended(delivery, TOO_LATE))
        return ended

    def _answered(self, *, block: bool) -> list[Ended]:
        try:
            delivery_id, outcome = self._answers.get(block, LOOK_AGAIN)
        except queue.Empty:
            return []
        known = self._under_way.pop(delivery_id, None)
        return [Ended(known.delivery, outcome)] if known is not None else []

    def _is_out_of_time(self) -> bool:
        """Whether those under way have had `GRACE` seconds since the worker was asked to stop."""
        now = time.monotonic()
        self._stop_began = self._stop_began or now
        return now - self._stop_began > GRACE


def _running() -> int:
    return sum(thread.name == NAME for thread in threading.enumerate())


def _log_unsigned(delivery: Delivery, error: str) -> None:
    logger.error(
        "webhook_not_signed",
        "webhook {webhook} cannot be signed: {error}",
        webhook=str(delivery.pk),
        error=error,
    )


def _attempt(delivery: Delivery, now: datetime) -> Attempt:
    headers = signing.headers(delivery.endpoint, delivery.pk, delivery.body, now)
    return Attempt(urls.read(delivery.endpoint.url), headers, delivery.body)
