"""Tries to handle each message, and does what the failure policy decides if that fails.

When `Handling.handle` returns, the result of every message is committed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from django.db import transaction

from admit_one import logs
from admit_one.contract import Event
from admit_one.database.outage import NotNow
from admit_one.logs import EventLogger
from admit_one.messaging import inbox, metrics
from admit_one.messaging.conf import Handler
from admit_one.messaging.failure_policy import Decision, History, decide
from admit_one.messaging.inbox import Received
from admit_one.messaging.set_aside import keeping
from admit_one.processes.announcer import Announcer
from admit_one.processes.stopping import Stop, next_delay

from .breaker import Breaker
from .holding import Holding

logger = EventLogger(__name__)

FIRST_HOLD, LONGEST_HOLD = 1.0, 30.0
"""Seconds between two attempts at a message that is held."""


class Handling:
    """Handles the messages of one connection."""

    def __init__(
        self,
        handlers: Mapping[type[Event], Handler],
        breaker: Breaker,
        holding: Holding,
        stop: Stop,
    ) -> None:
        self._handlers = handlers
        self._breaker = breaker
        self._holding = holding
        self._stop = stop
        self._announcer = Announcer()

    def handle(self, batch: Sequence[Received]) -> None:
        """Handle `batch` in one transaction; if that fails, one message at a time.

        Raises `NotNow` if the rest must stay unacked.
        """
        alone = batch[0].envelope if len(batch) == 1 else None
        with logs.about_event(alone):
            error = self._try(batch)
        match decide(error, History(raised=True, alone=False)):
            case Decision.ACK:
                self._breaker.close()
            case Decision.RETRY_ALONE:
                logger.warning(
                    "batch_failed",
                    "a batch of {messages} failed ({error}): handling its messages one by one",
                    messages=len(batch),
                    error=type(error).__name__,
                )
                self._handle_each(batch)
            case _:
                self._raise_not_now(error)

    def keep(
        self, message: Received, error: Exception, *, dead: bool = False, suspect: bool = False
    ) -> None:
        """Set `message` aside: dead, or to be retried."""
        self._holding.outlast_outage(
            lambda: keeping.keep(message, error, dead=dead, suspect=suspect)
        )
        metrics.count_consumed(["suspect" if suspect else "failed"])

    def _handle_each(self, batch: Sequence[Received]) -> None:
        for message in batch:
            if self._stop.overdue:
                raise NotNow("asked to stop")
            with logs.about_event(message.envelope):
                self._handle_alone(message)
            self._holding.stay_alive()

    def _handle_alone(self, message: Received) -> None:
        attempts, since = 0, time.monotonic()
        while True:
            error = self._try([message])
            decision = decide(error, self._history(error, time.monotonic() - since))
            attempts += 1
            if self._apply(decision, message, error, attempts):
                return

    def _history(self, error: Exception | None, held: float) -> History:
        fault = None if isinstance(error, NotNow) else error
        return History(
            raised=True,
            too_many_alike=fault is not None and self._breaker.opens(fault),
            held=held,
            stopping=bool(self._stop),
        )

    def _apply(
        self, decision: Decision, message: Received, error: Exception | None, attempts: int
    ) -> bool:
        """Do what was decided; returns whether the message is finished."""
        if error is None:
            self._breaker.close()
            self._announcer.over("messages_handled_again", "messages are handled again")
            return True
        if decision is Decision.REQUEUE:
            self._raise_not_now(error)
        if decision is Decision.HOLD:
            self._hold(attempts)
            return False
        self.keep(message, error, dead=decision is Decision.DEAD_LETTER)
        return True

    def _hold(self, attempts: int) -> None:
        """Hold the message: otherwise a bad release would set the whole backlog aside."""
        why = self._breaker.why_open
        self._announcer.trouble(
            "messages_held",
            "{cause}: holding the rest; {advice}",
            cause=why,
            advice=self._breaker.advice,
        )
        self._holding.hold(next_delay(attempts, first=FIRST_HOLD, most=LONGEST_HOLD), why)

    def _raise_not_now(self, error: Exception | None) -> NoReturn:
        if isinstance(error, NotNow):
            raise error
        raise NotNow(self._breaker.why_open) from error

    def _try(self, batch: Sequence[Received]) -> Exception | None:
        """Handle `batch` in one transaction; returns the error with which that failed."""
        try:
            self._holding.outlast_outage(lambda: self._process(batch))
        except Exception as error:  # noqa: BLE001 (a handler may raise anything)
            return error
        return None

    def _process(self, batch: Sequence[Received]) -> None:
        with transaction.atomic():
            outcomes = inbox.process(batch, self._handlers)
            for message, outcome in zip(batch, outcomes, strict=True):
                if outcome.error is not None:
                    dead = decide(outcome.error, History()) is Decision.DEAD_LETTER
                    with logs.about_event(message.envelope):
                        keeping.keep(message, outcome.error, dead=dead)
        metrics.count_consumed(outcome.result for outcome in outcomes)
