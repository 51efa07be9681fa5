"""Sends requests until they are answered, as every client of a system that fails must do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from http import HTTPStatus

from tools.rest import NO_ANSWER, Response

PAUSE = 0.3
"""Seconds before a client without an answer repeats its request."""

TRY_AGAIN = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
NO_WHOLE_ANSWER = (*NO_ANSWER, ValueError)
"""No answer, or a truncated one."""

ERASED = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE}
"""Answers to whoever still acts on an erased subscription."""


class Patience:
    """When clients of one kind stop, and what they found wrong; thread-safe."""

    def __init__(self, erased: Collection[str] = ()) -> None:
        """`erased` are the subscriptions that are erased, or about to be; it may grow."""
        self._erased = erased
        self._lock = threading.Lock()
        self._given_up = threading.Event()
        self.anomalies: list[str] = []
        """Answers that no client should ever get."""
        self.requests = 0

    def give_up(self) -> None:
        self._given_up.set()

    def note(self, what: str) -> None:
        with self._lock:
            self.anomalies.append(what)

    def until_answered(
        self,
        what: str,
        send: Callable[[], Response],
        expected: Collection[int],
        *,
        about: str = "",
    ) -> Response | None:
        """Send a request until it is answered with one of the statuses that are `expected`.

        Returns the answer; none for another one, and if the clients gave up. `about` is the
        subscription that it concerns: of an erased one, the answer may be that it is.
        """
        while not self._given_up.is_set():
            answer = self.once(send)
            if answer is not None and answer.status in expected:
                return answer
            if answer is not None:
                if not (about in self._erased and answer.status in ERASED):
                    self.note(f"{what} was answered with {answer.status}: {answer.body}")
                return None
            self._given_up.wait(PAUSE)
        self.note(f"{what} was still unanswered at the end of the run")
        return None

    def once(self, send: Callable[[], Response]) -> Response | None:
        """Send a request once; none if there is no answer, or one to try again."""
        with self._lock:
            self.requests += 1
        try:
            answer = send()
        except NO_WHOLE_ANSWER:
            return None
        return None if answer.status in TRY_AGAIN else answer
